// Under each result of the search, the page's words around what was found. It needs no server: the words of all
// pages come with page_words.js.
(() => {
  const results = document.getElementById("search-results");
  const query = new URLSearchParams(location.search).get("q") || "";
  const terms = query.toLowerCase().split(/[^\p{Letter}\p{Number}_]+/u).filter(Boolean);
  if (!results || !terms.length) return;
  const escaped = (term) => term.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  // The index knows stems, so a word is also found by its beginning.
  const stems = terms.map((term) => escaped(term.length > 5 ? term.slice(0, -2) : term));
  const found = new RegExp(`(?<![\\p{Letter}\\p{Number}])(?:${stems.join("|")})[\\p{Letter}\\p{Number}]*`, "giu");

  const textOf = (link) => {
    const [page, anchor] = link.getAttribute("href").split("#");
    const sections = pageWords[page.replace(/\.html$/, "")] || [];
    const own = sections.filter(([id]) => anchor && id === anchor);
    const [, text] = [...own, ...sections].find(([, words]) => words.search(found) >= 0) || [];
    return text;
  };

  const excerpt = (text) => {
    const line = document.createElement("p");
    line.className = "context";
    const start = Math.max(text.search(found) - 90, 0);
    const begin = start && text.indexOf(" ", start) + 1;
    const words = text.slice(begin, begin + 260);
    let last = 0;
    line.append(begin ? "… " : "");
    for (const match of words.matchAll(found)) {
      const mark = document.createElement("mark");
      mark.textContent = match[0];
      line.append(words.slice(last, match.index), mark);
      last = match.index + match[0].length;
    }
    line.append(words.slice(last), begin + 260 < text.length ? " …" : "");
    return line;
  };

  const explain = (item) => {
    const link = item.querySelector("a");
    const text = link && !item.querySelector(".context") && textOf(link);
    if (text) item.append(excerpt(text));
  };
  new MutationObserver((changes) =>
    changes.forEach((change) => change.addedNodes.forEach((node) => node.nodeName === "LI" && explain(node)))
  ).observe(results, { childList: true, subtree: true });
  results.querySelectorAll("li").forEach(explain);
})();
