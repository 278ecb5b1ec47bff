package parsebench

import "strings"

// Parts of names and sentences.
var (
	people = strings.Fields("romeo juliet mercutio benvolio tybalt nurse paris capulet montague rosaline balthasar sampson gregory peter abram" +
		" hamlet ophelia horatio laertes gertrude polonius yorick viola orsino olivia sebastian malvolio feste maria toby andrew")
	domains = strings.Fields("example.net example.com example.org verona.example.net chat.example.org im.example.com xmpp.example.edu")
	clients = []string{"phone.", "Conversations.", "gajim.", "dino.", "monal-", "tablet-", "desk.", "tv-", "Profanity."}
	words   = strings.Fields("the a of to and in that it is was for on are with as be this have from or had by not but what all were when we there can an" +
		" your which their said if do will each about how up out them then she many some so these would other into has more her two like him see time" +
		" could no make than first been its who now people my made over did down only way find use may water long little very after words called just" +
		" where most know get through back much go good new write our me man too any day same right look think also around another came come work three" +
		" must because does part even place well such here take why help put different away again off went old number great tell men say small every" +
		" found still between name should home big give air line set own under read last never us left end along while might next sound below saw" +
		" something thought both few those always show large often together asked house world going want school important until form food keep children" +
		" feet land side without boy once animal life enough took four head above kind began almost live page got earth need far hand high year mother" +
		" light country father let night picture being study second soon story since white ever paper hard near sentence better best across during" +
		" today however sure knew try told young sun thing whole hear example heard several change answer room sea against top turned learn point city")
	// Greek, Russian, German, Chinese, Japanese, Arabic, Hindi, Korean, and emoji.
	foreign = [][]string{
		strings.Fields("καλημέρα θάλασσα φίλε αύριο σπίτι δρόμος νύχτα ουρανός γράμμα ώρα λέξη ήλιος χρόνος βιβλίο μουσική πόλη καφές τραπέζι"),
		strings.Fields("привет сегодня завтра хорошо конечно дорога вечер письмо время город музыка книга работа человек спасибо встреча вопрос ответ"),
		strings.Fields("schön über für Grüße müde Straße später natürlich nächste Woche können wäre Frühstück größer öfter zurück Büro gehört"),
		strings.Fields("你好 今天 明天 晚上 我们 朋友 时间 工作 学习 城市 音乐 电影 吃饭 天气 没有 问题 回答 谢谢"),
		strings.Fields("こんにちは 今日は 明日 時間 仕事 電車 駅で 会いましょう ありがとう 映画 音楽 本を 読む 天気が いい 友達 東京"),
		strings.Fields("مرحبا اليوم غدا صديق وقت عمل مدينة كتاب موسيقى شكرا سؤال جواب طريق بيت قهوة مساء"),
		strings.Fields("नमस्ते आज कल दोस्त समय काम शहर किताब संगीत धन्यवाद सवाल जवाब रास्ता घर चाय शाम"),
		strings.Fields("안녕하세요 오늘 내일 친구 시간 일이 도시 책을 음악 감사합니다 질문 대답 길에서 집으로 커피 저녁"),
		strings.Fields("🙂 😂 ❤️ 👍 🎉 😢 🔥 🙏 😅 🤔 👀 ✨ 🚀 🐢"),
	}
)

// sentence writes n words of English.
func (g *generator) sentence(n int) func() {
	return func() {
		for i := range n {
			if i > 0 {
				g.b = append(g.b, ' ')
			}
			g.one(words)
			if g.chance(9) {
				g.one([]string{",", ".", "!", "?", "...", ";"})
			}
		}
	}
}

// escapedSentence writes n words with escaped characters, as in quoted code.
func (g *generator) escapedSentence(n int) func() {
	return func() {
		for range n {
			g.one(words)
			g.one([]string{" ", " ", " ", " &amp; ", " &lt;", "&gt; ", " &quot;", "&quot; ", "&apos;", "&#10;", " &lt;3 "})
		}
	}
}

// foreignSentence writes n words of one language, with occasional emoji.
func (g *generator) foreignSentence(n int) func() {
	return func() {
		of := foreign[g.r.IntN(len(foreign)-1)]
		for i := range n {
			if i > 0 {
				g.b = append(g.b, ' ')
			}
			if g.chance(12) {
				g.one(foreign[len(foreign)-1])
				continue
			}
			g.one(of)
		}
	}
}
