//go:build interop

package interop

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// browserTime is how long anything in the browser may take.
const browserTime = time.Minute

// chromium is Debian's Chromium without a window. It is controlled by the Chrome DevTools
// Protocol: JSON messages, each ended by a zero byte, over two pipes.
type chromium struct {
	t  *testing.T
	in *os.File

	mu      sync.Mutex
	last    int
	waiting map[int]chan reply // by the ID of the request
	tabs    map[string]*tab    // by session
	err     error              // why it has ended
}

// reply is a message of the browser: the result of a request, or an event.
type reply struct {
	ID        int             `json:"id"`
	Method    string          `json:"method"`
	SessionID string          `json:"sessionId"`
	Params    json.RawMessage `json:"params"`
	Result    json.RawMessage `json:"result"`
	Error     *struct {
		Message string `json:"message"`
	} `json:"error"`
}

// startChromium starts a browser with additional flags. It is ended when t ends.
func startChromium(t *testing.T, flags ...string) *chromium {
	t.Helper()
	toBrowser, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	out, fromBrowser, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	log := new(logBuffer)
	cmd := exec.Command("chromium", append(flags, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--log-level=3",
		"--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
		"--remote-debugging-pipe", "--user-data-dir="+t.TempDir(), "about:blank")...)
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "TZ=UTC", "LC_ALL=C.UTF-8")
	cmd.ExtraFiles = []*os.File{toBrowser, fromBrowser} // descriptors 3 and 4
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatalf("chromium: %v", err)
	}
	_ = toBrowser.Close()
	_ = fromBrowser.Close()
	c := &chromium{t: t, in: in, waiting: make(map[int]chan reply), tabs: make(map[string]*tab)}
	read := make(chan struct{})
	go func() {
		defer close(read)
		c.read(out)
	}()
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // all of its processes; they write to the temporary directories
		_ = cmd.Wait()
		_ = in.Close()
		<-read
		_ = out.Close()
		if t.Failed() {
			t.Logf("chromium: %s", log.tail())
		}
	})
	return c
}

// read distributes what the browser sends.
func (c *chromium) read(out *os.File) {
	lines := bufio.NewReader(out)
	for {
		text, err := lines.ReadBytes(0)
		if err != nil {
			c.mu.Lock()
			c.err = fmt.Errorf("chromium has ended: %w", err)
			for _, w := range c.waiting {
				close(w)
			}
			c.waiting = nil
			c.mu.Unlock()
			return
		}
		var r reply
		if json.Unmarshal(text[:len(text)-1], &r) != nil {
			continue
		}
		c.mu.Lock()
		w, t := c.waiting[r.ID], c.tabs[r.SessionID]
		delete(c.waiting, r.ID)
		c.mu.Unlock()
		switch {
		case r.ID != 0 && w != nil:
			w <- r
		case t != nil:
			t.event(&r)
		}
	}
}

// call sends a request and decodes its result into out unless that is nil.
func (c *chromium) call(session, method string, params, out any) error {
	w := make(chan reply, 1)
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return c.err
	}
	c.last++
	id := c.last
	c.waiting[id] = w
	c.mu.Unlock()
	if params == nil {
		params = struct{}{}
	}
	text, err := json.Marshal(map[string]any{"id": id, "method": method, "params": params, "sessionId": session})
	if session == "" {
		text, err = json.Marshal(map[string]any{"id": id, "method": method, "params": params})
	}
	if err == nil {
		_, err = c.in.Write(append(text, 0))
	}
	if err != nil {
		return err
	}
	select {
	case r, ok := <-w:
		switch {
		case !ok:
			return errors.New("chromium has ended")
		case r.Error != nil:
			return fmt.Errorf("%s: %s", method, r.Error.Message)
		case out == nil:
			return nil
		}
		return json.Unmarshal(r.Result, out)
	case <-time.After(browserTime):
		return fmt.Errorf("%s: no response", method)
	}
}

// tab is a tab with cookies of its own.
type tab struct {
	t       *testing.T
	c       *chromium
	session string
	loaded  chan struct{} // an element for each page that was loaded

	mu       sync.Mutex
	problems []string // errors that a person would see in the console
	requests []string // URLs
}

// window is what a tab looks like.
type window struct {
	width, height int
	dark          bool
	noScript      bool
}

// open opens a tab.
func (c *chromium) open(w window) *tab {
	c.t.Helper()
	t := &tab{t: c.t, c: c, loaded: make(chan struct{}, 100)}
	var context struct{ BrowserContextID string }
	var target struct{ TargetID string }
	var attached struct{ SessionID string }
	check := func(err error) {
		c.t.Helper()
		if err != nil {
			c.t.Fatal(err)
		}
	}
	check(c.call("", "Target.createBrowserContext", nil, &context))
	check(c.call("", "Target.createTarget", map[string]any{"url": "about:blank", "browserContextId": context.BrowserContextID}, &target))
	check(c.call("", "Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached))
	t.session = attached.SessionID
	c.mu.Lock()
	c.tabs[t.session] = t
	c.mu.Unlock()
	for _, domain := range []string{"Page", "Runtime", "Network", "Log"} {
		t.must(domain+".enable", nil, nil)
	}
	t.resize(w)
	t.must("Emulation.setScriptExecutionDisabled", map[string]any{"value": w.noScript}, nil)
	return t
}

// resize changes what the tab looks like.
func (t *tab) resize(w window) {
	t.t.Helper()
	scheme := "light"
	if w.dark {
		scheme = "dark"
	}
	t.must("Emulation.setDeviceMetricsOverride", map[string]any{"width": w.width, "height": w.height, "deviceScaleFactor": 1, "mobile": false}, nil)
	t.must("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": scheme}}}, nil)
}

// must makes a request that cannot fail.
func (t *tab) must(method string, params, out any) {
	t.t.Helper()
	if err := t.c.call(t.session, method, params, out); err != nil {
		t.t.Fatal(err)
	}
}

// event records what has happened in the tab.
func (t *tab) event(r *reply) {
	var p struct {
		Type             string
		Args             []struct{ Value any }
		Entry            struct{ Level, Text, URL string }
		ExceptionDetails struct {
			Text      string
			Exception struct{ Description string }
		}
		Request struct{ URL string }
	}
	if json.Unmarshal(r.Params, &p) != nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch r.Method {
	case "Page.loadEventFired":
		t.loaded <- struct{}{}
	case "Network.requestWillBeSent":
		t.requests = append(t.requests, p.Request.URL)
	case "Runtime.exceptionThrown":
		t.problems = append(t.problems, p.ExceptionDetails.Text+" "+p.ExceptionDetails.Exception.Description)
	case "Runtime.consoleAPICalled":
		if p.Type == "error" || p.Type == "warning" {
			t.problems = append(t.problems, fmt.Sprint(p.Type, ": ", p.Args))
		}
	case "Log.entryAdded":
		if p.Entry.Level == "error" || p.Entry.Level == "warning" {
			t.problems = append(t.problems, p.Entry.Text+" "+p.Entry.URL)
		}
	}
}

// wait waits until a page is loaded.
func (t *tab) wait() {
	t.t.Helper()
	select {
	case <-t.loaded:
	case <-time.After(browserTime):
		t.t.Fatal("no page was loaded")
	}
}

// visit opens a page.
func (t *tab) visit(url string) {
	t.t.Helper()
	var r struct{ ErrorText string }
	if t.must("Page.navigate", map[string]any{"url": url}, &r); r.ErrorText != "" {
		t.t.Fatalf("%s: %s", url, r.ErrorText)
	}
	t.wait()
}

// eval evaluates JavaScript, and what it promises, into out unless that is nil.
func (t *tab) eval(script string, out any) {
	t.t.Helper()
	var r struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails *struct {
			Text      string
			Exception struct{ Description string }
		}
	}
	t.must("Runtime.evaluate", map[string]any{"expression": script, "awaitPromise": true, "returnByValue": true}, &r)
	if e := r.ExceptionDetails; e != nil {
		t.t.Fatalf("%.100s: %s %s", script, e.Text, e.Exception.Description)
	}
	if out != nil {
		if err := json.Unmarshal(r.Result.Value, out); err != nil {
			t.t.Fatalf("%.100s: %v: %s", script, err, r.Result.Value)
		}
	}
}

// text is the text of an element that a selector finds.
func (t *tab) text(selector string) (text string) {
	t.t.Helper()
	t.eval(fmt.Sprintf("document.querySelector(%q)?.innerText ?? ''", selector), &text)
	return text
}

// await waits until a condition is true.
func (t *tab) await(condition string) {
	t.t.Helper()
	var ok bool
	t.eval(fmt.Sprintf(`new Promise(done => {
		const end = Date.now() + %d;
		const look = () => { if (%s) done(true); else if (Date.now() > end) done(false); else setTimeout(look, 20); };
		look();
	})`, (browserTime/2).Milliseconds(), condition), &ok)
	if !ok {
		t.t.Fatalf("never became true: %s\n%s", condition, t.text("body"))
	}
}

// key presses a key.
func (t *tab) key(name string, code int, text string) {
	t.t.Helper()
	for _, kind := range []string{"keyDown", "keyUp"} {
		t.must("Input.dispatchKeyEvent", map[string]any{"type": kind, "key": name, "code": name, "windowsVirtualKeyCode": code, "text": text}, nil)
	}
}

func (t *tab) pressTab()   { t.t.Helper(); t.key("Tab", 9, "") }
func (t *tab) pressEnter() { t.t.Helper(); t.key("Enter", 13, "\r") }

// fill writes into an element, as by the keyboard.
func (t *tab) fill(selector, text string) {
	t.t.Helper()
	t.eval(fmt.Sprintf("{ const e = document.querySelector(%q); e.focus(); e.select(); }", selector), nil)
	t.must("Input.insertText", map[string]any{"text": text}, nil)
}

// picture takes a picture of the page, into a file.
func (t *tab) picture(file string) {
	t.t.Helper()
	var size struct{ Width, Height int }
	t.eval("({width: innerWidth, height: Math.max(innerHeight, document.documentElement.scrollHeight)})", &size)
	var r struct{ Data string }
	t.must("Page.captureScreenshot", map[string]any{"captureBeyondViewport": true, "clip": map[string]any{"x": 0, "y": 0, "width": size.Width, "height": size.Height, "scale": 1}}, &r)
	image, err := base64.StdEncoding.DecodeString(r.Data)
	if err == nil {
		err = os.WriteFile(file, image, 0o644)
	}
	if err != nil {
		t.t.Fatal(err)
	}
}

// check reports errors in the console, and requests to other hosts than base.
func (t *tab) check(base string) {
	t.t.Helper()
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range t.problems {
		t.t.Errorf("in the console: %s", p)
	}
	for _, url := range t.requests {
		if !strings.HasPrefix(url, base+"/") {
			t.t.Errorf("a request to %s", url)
		}
	}
	if len(t.requests) == 0 {
		t.t.Error("no request was seen: the test has become blind")
	}
}
