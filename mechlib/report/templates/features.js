// The browser of features: everything from the data block, everything into the page as text.
(() => {
  const STEPS = "__STEPS__", FIRST = 200;
  const data = JSON.parse(document.getElementById("data").textContent);
  const words = data.vocabulary;
  const pairs = (flat) => flat.flatMap((one, n) => (n % 2 ? [] : [[one, flat[n + 1]]]));
  const triples = (flat) => flat.flatMap((one, n) => (n % 3 ? [] : [[one, flat[n + 1], flat[n + 2]]]));
  const cards = data.cards.map((card) => {
    const [number, fired, mean, largest, histogram, windows, tokens, next, concept, high, low, near] = card;
    return {
      number, fired, mean, largest, histogram, windows, concept,
      tokens: triples(tokens), next: triples(next), high: pairs(high), low: pairs(low), near: pairs(near),
      label: concept ? `${concept[1]} ${concept[0]}` : "",
    };
  });
  const byNumber = new Map(cards.map((card) => [card.number, card]));
  const at = (id) => document.getElementById(id);

  // --- elements -----------------------------------------------------------------------------------------------
  const made = (tag, kind, ...inside) => {
    const element = document.createElement(tag);
    if (kind) element.className = kind;
    element.append(...inside);
    return element;
  };
  const drawn = (tag, attributes, text) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    if (text !== undefined) element.textContent = text;
    return element;
  };
  const spelled = (one) => `\\u${one.codePointAt(0).toString(16).padStart(4, "0")}`;
  const visible = (token) => token
    .replace(/\n/g, "↵").replace(/\t/g, "⇥").replace(/\r/g, "␍")
    .replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Co}\u2028\u2029]|(?! )\p{Zs}/gu, spelled);
  const piece = (token, kind = "piece") => made("bdi", kind, visible(token));
  const apart = (token) => {  // a token by itself: the space before it is shown
    const shown = made("bdi", "piece");
    const lead = token.length - token.trimStart().length;
    const spaces = token.slice(0, lead).replace(/ /g, "·");
    if (token === "") shown.append(made("span", "unseen", "(nothing)"));
    else shown.append(...(spaces ? [made("span", "unseen", visible(spaces))] : []), visible(token.slice(lead)));
    return shown;
  };
  const number = (value) => {
    const size = Math.abs(value);
    return size >= 1e4 || (size && size < 1e-2) ? value.toExponential(1) : String(+value.toPrecision(3));
  };
  const whole = (count) => count.toLocaleString("en");
  const percent = (share) => (share >= 0.0995 ? `${Math.round(100 * share)} %` : `${+(100 * share).toPrecision(2)} %`);

  // --- search -------------------------------------------------------------------------------------------------
  const plain = (text) => text.trim().toLowerCase();
  const spelt = words.map(plain);
  const reasons = (card, asked) => {  // [rank, why, strength] of the best reason that a feature is found by; null
    if (String(card.number) === asked) return [0, "", 0];
    const fits = (token, same) => (same ? spelt[token] === asked : spelt[token].includes(asked));
    const among = (tokens, same) => tokens.find(([token]) => fits(token, same));
    const bare = (token) => visible(words[token]).trim();
    const share = (found) => found[1] / card.fired;
    const on = among(card.tokens, true);
    if (on) return [1, `active on ${bare(on[0])}: ${percent(share(on))} of its activity`, share(on)];
    if (card.label === asked || (card.concept && card.concept[0] === asked)) return [1, card.label, 0];
    const before = among(card.next, true);
    if (before && share(before) >= 0.5) {
      return [2, `before ${bare(before[0])}: ${percent(share(before))} of its activity`, share(before)];
    }
    const raised = among(card.high, true);
    if (raised) return [3, `raises ${bare(raised[0])} by ${number(raised[1])}`, raised[1]];
    if (card.label.includes(asked)) return [4, card.label, 0];
    const partly = among(card.tokens, false);
    if (partly) return [5, `active on ${bare(partly[0])}`, share(partly)];
    const shown = card.windows.some((window) => spelt[window[4 + window[1]]] === asked);
    return shown ? [6, "in a window", 0] : null;
  };
  const orders = {
    number: (one, other) => one.number - other.number,
    often: (one, other) => other.fired - one.fired || one.number - other.number,
    seldom: (one, other) => one.fired - other.fired || one.number - other.number,
    concept: (one, other) => (one.label ? 0 : 1) - (other.label ? 0 : 1)
      || one.label.localeCompare(other.label) || one.number - other.number,
  };
  const search = (query, order = "number") => {  // [card, why] of all that are found, the best reason first
    const asked = plain(query).replace(/^#/, ""), by = orders[order];
    if (!asked) return cards.map((card) => [card, ""]).sort(([one], [other]) => by(one, other));
    const found = cards.map((card) => [card, reasons(card, asked)]).filter(([, why]) => why);
    found.sort(([one, why], [other, because]) => why[0] - because[0] || because[2] - why[2] || by(one, other));
    return found.map(([card, why]) => [card, why[1]]);
  };

  // --- the list -----------------------------------------------------------------------------------------------
  let shown = FIRST, current = null;
  const said = (card) => {
    const line = made("span", "said");
    if (card.label) line.append(card.label, made("span", "unseen", " · "));
    for (const [token] of card.tokens.slice(0, 4)) line.append(piece(words[token].trim() || words[token]), " ");
    return line;
  };
  const entry = ([card, why]) => {
    const share = made("span", "share", percent(card.fired / data.tokens));
    const link = made("a", "", made("b", "", String(card.number)), said(card), share);
    if (why) link.append(made("span", "why", why));
    link.href = `#f${card.number}`;
    if (card === current) link.setAttribute("aria-current", "true");
    return made("li", "", link);
  };
  const list = () => {
    const found = search(at("query").value, at("order").value);
    at("list").replaceChildren(...found.slice(0, shown).map(entry));
    at("more").hidden = found.length <= shown;
    at("more").textContent = `${found.length - shown} more`;
    at("count").textContent = `${found.length} of ${cards.length} features`;
    return found;
  };

  // --- one feature --------------------------------------------------------------------------------------------
  const windowOf = (card) => (window) => {
    const [, place, value, steps, ...tokens] = window;
    const line = made("p", "");
    tokens.forEach((token, n) => {
      const said = words[token], rest = said.replace(/^ +/, ""), one = piece(rest || said);
      const share = STEPS.indexOf(steps[n]) / (STEPS.length - 1);
      if (rest && rest !== said) line.append(" ");  // the ground begins with the word
      if (share) {
        one.style.setProperty("--share", String(share));
        one.title = number(share * card.largest);
      }
      if (n === place) one.classList.add("peak");
      line.append(one);
    });
    return made("li", "", made("span", "value", number(value)), line);
  };
  const histogram = (card) => {
    const [width, ...counts] = card.histogram, most = Math.max(...counts);
    const [left, high, bar] = [8, 90, Math.min(26, 400 / counts.length)], wide = bar * counts.length;
    const spoken = `how active it is where it is active: ${counts.length} bins of ${width}, the fullest has ${most}`;
    const svg = drawn("svg", {
      class: "histogram", width: wide + 60, height: high + 34, viewBox: `0 0 ${wide + 60} ${high + 34}`,
      role: "img", "aria-label": spoken,
    });
    counts.forEach((count, n) => {
      const tall = count ? Math.max(1, (high * count) / most) : 0;
      const place = { x: left + n * bar + 0.5, y: 14 + high - tall, width: bar - 1, height: tall };
      const rect = drawn("rect", Object.fromEntries(Object.entries(place).map(([name, at]) => [name, at.toFixed(1)])));
      rect.append(drawn("title", {}, `${count} tokens from ${number(n * width)} to ${number((n + 1) * width)}`));
      svg.append(rect);
    });
    svg.append(drawn("path", { d: `M${left} ${14.5 + high}h${wide}` }), drawn("text", { x: left, y: high + 29 }, "0"),
      drawn("text", { x: left + wide, y: high + 29, class: "end" }, number(counts.length * width)),
      drawn("text", { x: left, y: 10 }, `${whole(most)} tokens in the fullest bin`));
    return svg;
  };
  const table = (title, heads, rows) => {
    const body = made("tbody", "", ...rows);
    const top = made("tr", "", ...heads.map(([text, kind]) => made("th", kind, text)));
    return made("div", "", made("h3", "", title), made("table", "", made("thead", "", top), body));
  };
  const row = (...cells) => made("tr", "", ...cells.map(([kind, inside]) => made("td", kind, inside)));
  const counts = (title, tokens) => table(title, [["token", ""], ["active", "num"], ["there", "num"]],
    tokens.map(([token, ...both]) => row(["token", apart(words[token])], ...both.map((count) => ["num", whole(count)]))));
  const effects = (title, list, kind, most) => table(title, [["token", ""], ["effect", "num"], ["", ""]],
    list.map(([token, effect]) => {
      const bar = made("span", "");
      bar.style.setProperty("--share", String(Math.abs(effect) / most));
      return row(["token", apart(words[token])], ["num", number(effect)], [kind, bar]);
    }));
  const near = (card) => table("Near", [["feature", ""], ["cosine", "num"], ["active on", ""]],
    card.near.map(([other, cosine]) => {
      const there = byNumber.get(other);
      const name = there ? made("a", "", String(other)) : made("span", "", `${other} (not shown)`);
      if (there) name.href = `#f${other}`;
      return row(["", name], ["num", number(cosine)], ["", there ? said(there) : ""]);
    }));
  const show = (card) => {
    current = card;
    const share = percent(card.fired / data.tokens);
    const often = `active on ${whole(card.fired)} of ${whole(data.tokens)} tokens (${share})`;
    const much = card.fired ? `; by ${number(card.mean)} on average where it is, ${number(card.largest)} at most` : "";
    const parts = [made("h2", "", `Feature ${card.number}`), made("p", "meta", often + much)];
    if (card.concept) {
      const [, , precision, recall] = card.concept;
      const how = `: precision ${percent(precision)}, recall ${percent(recall)}`;
      parts.push(made("p", "meta", made("b", "", card.label), how));
    }
    if (card.windows.length) {
      const windows = card.windows.map(windowOf(card));
      parts.push(made("h3", "", "Where it is most active"), made("ol", "windows", ...windows));
    }
    if (card.histogram.length > 1) parts.push(made("h3", "", "How active"), histogram(card));
    const [on, following] = [counts("Tokens it is active on", card.tokens), counts("Tokens that follow", card.next)];
    if (card.fired) parts.push(made("div", "pair", on, following));
    const most = Math.max(1e-9, ...[...card.high, ...card.low].map(([, effect]) => Math.abs(effect)));
    if (card.high.length) {
      const [up, down] = [["Logits it raises", card.high, "bar"], ["Logits it lowers", card.low, "bar low"]];
      parts.push(made("div", "pair", effects(...up, most), effects(...down, most)));
    }
    parts.push(made("div", "pair", near(card)));
    at("feature").replaceChildren(...parts);
    document.title = `Feature ${card.number} of ${data.model}`;
  };

  // --- what the reader does -----------------------------------------------------------------------------------
  const decoded = (text) => { try { return decodeURIComponent(text); } catch { return text; } };
  const go = (first) => {
    const [asked, query] = [/^#f(\d+)$/.exec(location.hash), /^#q=(.*)$/.exec(location.hash)];
    if (query) at("query").value = decoded(query[1]);
    const card = asked && byNumber.get(Number(asked[1]));
    if (card) show(card);
    const found = list();
    if (!card && found.length && (first || query)) { show(found[0][0]); list(); }
    if (!first && card) {
      at("feature").focus({ preventScroll: true });
      scrollTo(0, Math.min(scrollY, at("search").offsetTop));
    }
  };
  addEventListener("hashchange", () => go(false));
  at("query").addEventListener("input", () => { shown = FIRST; list(); });
  at("order").addEventListener("change", () => { shown = FIRST; list(); });
  at("more").addEventListener("click", () => { shown += 5 * FIRST; list(); });
  at("search").addEventListener("submit", (event) => {
    event.preventDefault();
    const found = list();
    if (found.length) location.hash = `f${found[0][0].number}`;
  });
  go(true);
})();
