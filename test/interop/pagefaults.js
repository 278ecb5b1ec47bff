// Returns what would keep people from using the page: text with too little contrast (WCAG
// 2.2, 1.4.3), controls and pictures without a name, tables without a caption, headings that
// skip a level, missing landmarks, IDs that exist twice, and text that does not fit or is cut.
(() => {
  const faults = [];
  const short = e => e.outerHTML.replace(/\s+/g, " ").slice(0, 100);
  const shown = e => e.checkVisibility({ visibilityProperty: true, opacityProperty: true });
  const hidden = e => e.closest(".sr, .skip, svg, noscript") !== null;

  // A canvas converts each notation of a color into red, green, blue and alpha.
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  function color(text) {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = text;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return { r, g, b, a: a / 255 };
  }
  function luminance({ r, g, b }) {
    const [x, y, z] = [r, g, b].map(v => { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  }
  function background(e) {
    for (; e; e = e.parentElement) {
      const c = color(getComputedStyle(e).backgroundColor);
      if (c.a > 0.99) return c;
    }
    return { r: 255, g: 255, b: 255 };
  }

  function contrast(text, e) {
    const [a, b] = [luminance(color(text)), luminance(background(e))].sort((x, y) => y - x);
    return (a + 0.05) / (b + 0.05);
  }

  for (const e of document.querySelectorAll("[placeholder]")) {
    const ratio = contrast(getComputedStyle(e, "::placeholder").color, e);
    if (shown(e) && ratio < 4.5) faults.push(`contrast ${ratio.toFixed(2)} of the placeholder: ${short(e)}`);
    const s = getComputedStyle(e);
    canvas.font = s.font;
    const fits = e.clientWidth - parseFloat(s.paddingLeft) - parseFloat(s.paddingRight);
    if (shown(e) && canvas.measureText(e.placeholder).width > fits) faults.push(`the placeholder does not fit: ${short(e)}`);
  }
  for (const e of document.querySelectorAll("time"))
    if (shown(e) && e.getClientRects().length > 1) faults.push(`a time is broken into lines: ${short(e)}`);

  let texts = 0;
  for (const e of document.querySelectorAll("body *")) {
    if (!shown(e) || hidden(e)) continue;
    const own = [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim() !== "");
    const s = getComputedStyle(e);
    if (own) {
      texts++;
      const ratio = contrast(s.color, e), size = parseFloat(s.fontSize);
      const large = size >= 24 || size >= 18.66 && Number(s.fontWeight) >= 700;
      if (ratio < (large ? 3 : 4.5)) faults.push(`contrast ${ratio.toFixed(2)}: ${short(e)}`);
    }
    if (own && s.overflowX !== "visible" && s.overflowX !== "auto" && e.scrollWidth > e.clientWidth + 1) faults.push(`does not fit: ${short(e)}`);
    const box = e.getBoundingClientRect();
    if (own && !e.closest(".scroll") && (box.right > innerWidth + 1 || box.left < -1)) faults.push(`is beyond the edge: ${short(e)}`);
    if (e.matches("a, button, select, summary, input:not([type=hidden])") && (box.height < 20 || box.width < 20)) faults.push(`is too small to be hit: ${short(e)}`);
  }
  if (texts < 5) faults.push(`only ${texts} texts were found`);
  const root = document.documentElement;
  if (root.scrollWidth > innerWidth) faults.push(`the page is ${root.scrollWidth} wide in a window of ${innerWidth}`);

  for (const e of document.querySelectorAll("input:not([type=hidden]), select, textarea, button, a[href], summary")) {
    const name = [...(e.labels ?? [])].map(l => l.textContent).join("") || e.getAttribute("aria-label") || e.textContent || e.querySelector("img")?.alt;
    if (!name?.trim()) faults.push(`has no name: ${short(e)}`);
  }
  for (const e of document.querySelectorAll("img:not([alt]), [role=img]:not([aria-label]), nav:not([aria-label]), section:not([aria-label]):not([aria-labelledby]), [role=region]:not([aria-label])"))
    faults.push(`has no name: ${short(e)}`);
  for (const e of document.querySelectorAll("[aria-labelledby], [aria-describedby]"))
    for (const id of (e.getAttribute("aria-labelledby") ?? e.getAttribute("aria-describedby")).split(" "))
      if (!document.getElementById(id)) faults.push(`names an element that does not exist: ${short(e)}`);
  for (const e of document.querySelectorAll("table")) {
    if (!e.caption?.textContent.trim()) faults.push(`has no caption: ${short(e)}`);
    for (const th of e.querySelectorAll("th:not([scope])")) faults.push(`has no scope: ${short(th)}`);
  }
  let level = 0;
  for (const e of document.querySelectorAll("h1, h2, h3, h4")) {
    const now = Number(e.tagName[1]);
    if (now > level + 1) faults.push(`skips a level: ${short(e)}`);
    level = now;
  }
  for (const name of ["main", "h1", "header", "title"])
    if (document.querySelectorAll(name === "title" ? "head > title" : name).length !== 1) faults.push(`there is not one ${name}`);
  if (!root.lang) faults.push("the page has no language");
  const ids = new Set();
  for (const e of document.querySelectorAll("[id]")) {
    if (ids.has(e.id)) faults.push(`there are two elements with the ID ${e.id}`);
    ids.add(e.id);
  }
  return faults;
})()
