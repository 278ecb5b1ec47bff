package server

import "html/template"

const inviteStyle = `
:root { color-scheme: light dark; font: 1.1rem/1.5 system-ui, sans-serif }
header, main { max-width: 36rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.6rem; line-height: 1.2 }
h2 { font-size: 1.2rem; margin-top: 2rem }
a.button, button { display: inline-block; padding: .7rem 1.4rem; border: 0; border-radius: .4rem; background: #0b57b0; color: #fff; font: inherit; text-decoration: none; cursor: pointer }
a:focus-visible, button:focus-visible, input:focus-visible { outline: 3px solid currentColor; outline-offset: 3px }
code { display: block; padding: .6rem; border: 1px solid; border-radius: .4rem; overflow-wrap: anywhere; font-size: .9rem }
label { display: block; margin-top: .8rem }
input { box-sizing: border-box; width: 100%; padding: .5rem; border: 1px solid; border-radius: .4rem; font: inherit }
form button { margin-top: 1.2rem }
.problem { padding: .6rem; border: 2px solid #b00020; border-radius: .4rem }
.code { display: block; width: 15rem; max-width: 100%; border-radius: .4rem }
`

var inviteTemplates = template.Must(template.New("").Parse(`{{define "head"}}<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>Invitation to {{.Domain}}</title>
<style>{{.Style}}</style>
</head>
<body>
{{end}}

{{define "programs"}}<ul>
<li>on Android: <a href="https://conversations.im">Conversations</a>, <a href="https://cheogram.com">Cheogram</a></li>
<li>on an iPhone or iPad: <a href="https://monal-im.org">Monal</a>, <a href="https://siskin.im">Siskin</a></li>
<li>on a Mac: <a href="https://monal-im.org">Monal</a>, <a href="https://beagle.im">Beagle</a></li>
<li>on Windows and Linux: <a href="https://gajim.org">Gajim</a>, <a href="https://dino.im">Dino</a></li>
</ul>
{{end}}

{{define "form"}}{{template "head" .}}<header><h1>You are invited to chat on {{.Domain}}</h1></header>
<main>
{{if .Problem}}<p class="problem" role="alert">{{.Problem}}</p>
{{end}}<p>With this invitation{{with .Invited}}{{if and .Contact .Inviter}} of {{.Inviter}}{{end}}{{end}} you create an account on {{.Domain}}, a server for instant messages. You choose {{if not .Invited.Localpart}}a username and {{end}}a password; whoever has invited you never learns the password.</p>
<h2>With a program for chats</h2>
<p><a class="button" href="{{.URI}}">Create my account</a></p>
<p>If nothing happens, install a program for XMPP, the open standard that {{.Domain}} uses, and open this page again. Such programs are, among many others:</p>
{{template "programs"}}{{with .Code}}<p>If the program is on a phone, let it scan this code:</p>
{{.}}
{{end}}{{with .PageCode}}<p>If you want to install one on a phone, open this page on the phone: scan this code with its camera:</p>
{{.}}
{{end}}<p>Or choose in the program to create an account with an invitation, and paste this link:</p>
<code>{{.Link}}</code>
<h2>Here in the browser</h2>
<form method="post">
{{if .Invited.Localpart}}<p>Your address will be <strong>{{.Invited.Localpart}}@{{.Domain}}</strong>.</p>
<input type="hidden" name="username" value="{{.Invited.Localpart}}" autocomplete="username">
{{else}}<label for="username">Username, the part of your address before @{{.Domain}}</label>
<input id="username" name="username" value="{{.Username}}" required autocomplete="username" autocapitalize="none" spellcheck="false">
{{end}}<label for="password">Password</label>
<input id="password" name="password" type="password" required autocomplete="new-password">
<label for="again">Password again</label>
<input id="again" name="again" type="password" required autocomplete="new-password">
<button>Create my account</button>
</form>
<h2>Keep this page to yourself</h2>
<p>Anybody who has its address can use the invitation in your place{{if gt .Invited.Uses 1}}, {{.Invited.Uses}} times{{end}}. It ends on {{.Invited.Until.UTC.Format "2 January 2006 at 15:04"}} UTC. If you did not expect an invitation, you need not do anything.</p>
</main>
</body>
</html>
{{end}}

{{define "created"}}{{template "head" .}}<header><h1>Your account exists</h1></header>
<main>
<p>Your address is</p>
<code>{{.Account}}</code>
{{with .Invited}}{{if and .Contact .Inviter}}<p>{{.Inviter}} is on your list of contacts, and you are on theirs, unless that one is full.</p>
{{end}}{{end}}<h2>What to do next</h2>
<ol>
<li>Write down your password, or store it in the browser. Nobody can tell you what it is.</li>
<li>Install a program for XMPP, such as one of those below.</li>
<li>Choose in it to log in to an account that exists, and enter your address and the password.</li>
</ol>
{{template "programs"}}</main>
</body>
</html>
{{end}}

{{define "refused"}}{{template "head" .}}<header><h1>This invitation cannot be used</h1></header>
<main>
<p>{{if .Problem}}{{.Problem}}{{else}}It was used already, it has ended, or it was withdrawn. If you have created your account with it, log in with a program for XMPP. Otherwise, ask for a new invitation.{{end}}</p>
</main>
</body>
</html>
{{end}}
`))
