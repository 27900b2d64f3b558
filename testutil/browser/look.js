// Runs in a copy of a page when it has loaded, and leaves what it found in an element of its own.
addEventListener("load", () => {
  const found = { LoadMS: Math.round(performance.now()), Wide: [], Faint: [], Landmarks: [], Elements: document.querySelectorAll("*").length,
    Dark: matchMedia("(prefers-color-scheme: dark)").matches, Width: innerWidth };
  const name = e => e.tagName.toLowerCase() + (e.className ? "." + e.className : "") + " " + JSON.stringify(e.textContent.trim().slice(0, 40));
  // Beyond the right edge, unless something that scrolls holds it.
  const scrolls = e => e && e !== document.body && (["auto", "scroll"].includes(getComputedStyle(e).overflowX) || scrolls(e.parentElement));
  if (document.documentElement.scrollWidth > innerWidth) found.Wide.push("the page: " + document.documentElement.scrollWidth + " px");
  for (const e of document.body.querySelectorAll("*"))
    if (found.Wide.length < 10 && e.getBoundingClientRect().right > innerWidth + 1 && !scrolls(e)) found.Wide.push(name(e));
  // Contrast of text by WCAG 2.2: https://www.w3.org/TR/WCAG22/#contrast-minimum
  const rgb = c => (c.match(/[\d.]+/g) || []).map(Number);
  const light = c => { const [r, g, b] = c.map(v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const paper = e => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor); if (c.length === 3 || c[3] > 0) return c.slice(0, 3); } return [255, 255, 255]; };
  const seen = new Set();
  for (const e of document.body.querySelectorAll("*")) {
    if (![...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim())) continue;
    const style = getComputedStyle(e), key = style.color + paper(e);
    if (seen.has(key)) continue;
    seen.add(key);
    const a = light(rgb(style.color).slice(0, 3)), b = light(paper(e));
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) found.Faint.push(name(e) + ": " + ratio.toFixed(2));
  }
  for (const e of document.querySelectorAll("header, main, footer, h1")) if (e.parentElement === document.body || e.tagName === "H1") found.Landmarks.push(e.tagName.toLowerCase());
  document.body.innerHTML = "<pre id=found></pre>";
  document.getElementById("found").textContent = JSON.stringify(found);
});
