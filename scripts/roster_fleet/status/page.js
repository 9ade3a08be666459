"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const { states, outcomes, series, meanings, rows } = data;
  const asked = document.getElementById("asked").dateTime;
  const DAY = 86400000, HOUR = 3600000, STRIP = 30, TREND = 60;
  const STATE_WORDS = { red: "Red", amber: "Amber", new: "New", green: "Green", off: "Off" };
  const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  const VALUES = new Map([...DIGITS].map((digit, value) => [digit, value]));
  const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });
  const numbers = new Intl.NumberFormat("en");
  const number = (value) => numbers.format(value);
  const byId = (id) => document.getElementById(id);

  // ---- making elements: texts are only ever texts ----------------------------------------------

  function filled(element, attributes, children) {
    for (const [name, value] of Object.entries(attributes)) {
      if (value === undefined || value === false) continue;
      if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
      else element.setAttribute(name, value === true ? "" : value);
    }
    element.append(...children.flat(Infinity).filter((child) => child !== undefined && child !== ""));
    return element;
  }
  const h = (tag, attributes = {}, ...children) =>
    filled(document.createElement(tag), attributes, children);
  const s = (tag, attributes = {}, ...children) =>
    filled(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
  const mark = (state) => s("svg", { class: "mark", "aria-hidden": "true" }, s("use", { href: `#${state}` }));

  // ---- what is packed ---------------------------------------------------------------------------

  /** The first `count` numbers, the newest first. Unknown ones are null. */
  function unpacked(text, count = Infinity) {
    const found = [];
    let before = 0, value = 0, shift = 0;
    for (let at = 0; at < text.length && found.length < count; at++) {
      if (text[at] === "!") { found.push(null); continue; }
      const digit = VALUES.get(text[at]);
      value += (digit & 31) * 2 ** shift;
      shift += 5;
      if (digit & 32) continue;
      before += value % 2 ? -(value + 1) / 2 : value / 2;
      found.push(before);
      value = shift = 0;
    }
    return found;
  }
  const stateOf = (letter) => states[outcomes[letter][0]];
  const wordOf = (letter) => outcomes[letter][1];
  const months = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "long", timeZone: "UTC" });
  const yearOf = (time) => new Date(time).getUTCFullYear();

  /** A night by both of its days, as records/night.py names it. `end` is the day of its deadline. */
  function nightName(end, beside = end) {
    const last = Date.parse(end), first = last - DAY;
    const isOther = yearOf(last) !== yearOf(Date.parse(beside));
    const [start, stop] = [months.format(first), months.format(last)];
    const year = isOther ? ` ${yearOf(last)}` : "";
    if (isOther && yearOf(first) !== yearOf(last)) return `${start} ${yearOf(first)} to ${stop}${year}`;
    return `${start.split(" ")[1] === stop.split(" ")[1] ? start.split(" ")[0] : start} to ${stop}${year}`;
  }
  const nightOf = (nights, index) =>
    nightName(new Date(Date.parse(nights.end) - index * DAY).toISOString().slice(0, 10), nights.end);

  function bytes(size) {
    const units = ["bytes", "kB", "MB", "GB"];
    let unit = 0;
    while (size >= 1000 && unit < 3) { size /= 1000; unit++; }
    return `${unit ? size.toFixed(1) : size} ${units[unit]}`;
  }
  const isBad = (letter) => stateOf(letter) !== "green";

  // ---- small pictures ---------------------------------------------------------------------------

  /** The last nights as ticks: low and green where all is well, the higher the worse. */
  function strip(nights) {
    const shown = [...nights.outcomes.slice(0, STRIP)].reverse();
    const paths = {};
    shown.forEach((letter, index) => {
      const state = stateOf(letter);
      const height = { green: 8, amber: 13, red: 18 }[state];
      const kind = state === "green" ? "s" : state;
      paths[kind] = `${paths[kind] || ""}M${index * 4} 18v-${height}h3v${height}z`;
    });
    const bad = shown.filter(isBad).length;
    const told = `Last ${shown.length} nights: ${shown.length - bad} in order, ${bad} not`;
    return s("svg", { class: "picture", width: 120, height: 18, role: "img", "aria-label": told },
      Object.entries(paths).map(([kind, d]) => s("path", { class: `p-${kind}`, d })));
  }

  /** A polyline's points through known numbers. Gaps stay gaps. */
  function path(values, width, height) {
    const known = values.filter((value) => value !== null);
    const low = Math.min(...known), span = Math.max(...known) - low || 1;
    let d = "", pen = "M";
    values.forEach((value, index) => {
      if (value === null) { pen = "M"; return; }
      const x = values.length > 1 ? (index * width) / (values.length - 1) : width;
      d += `${pen}${x.toFixed(1)} ${(height - ((value - low) / span) * height).toFixed(1)}`;
      pen = "L";
    });
    return d;
  }

  function trend(nights) {
    const values = unpacked(nights.series[0], TREND).reverse();
    if (values.filter((value) => value !== null).length < 2) return "";
    return s("svg", { class: "picture", width: 84, height: 16, "aria-hidden": "true" },
      s("path", { class: "line", d: path(values, 84, 14), transform: "translate(0 1)" }));
  }

  // ---- the table --------------------------------------------------------------------------------

  const missed = (row) => (row.nights ? [...row.nights.outcomes].filter(isBad).length : 0);
  const last = (row) => (row.nights ? wordOf(row.nights.outcomes[0]) : "");
  const start = (row, unit = "roster-upload") => row.starts && row.starts[unit];
  /** A time whose local part stays on one line: `07:10 UTC (01:10 CST)`. */
  const whole = (time) => time && time.replace(/\(.*\)/, (local) => local.replaceAll(" ", "\u00a0"));
  const under = (text) => h("span", { class: "small" }, text);
  const ALWAYS = ["state", "district"];
  // Name, title, width, what to sort by (what is undefined comes last), what to show.
  const columns = [
    ["state", "State", "98px", (row) => row.state,
      (row) => [mark(states[row.state]), " ", STATE_WORDS[states[row.state]], row.stale ? [" ", under(`seen ${row.stale}`)] : []]],
    ["district", "District", "minmax(0, 1.5fr)", (row) => row.district,
      (row) => [h("button", { class: "open", type: "button", "aria-haspopup": "dialog" }, row.district), " ",
        row.feed ? [under(row.feed), " "] : [], row.host !== row.district ? under(`on ${row.host}`) : []]],
    ["night", "Last night", "124px", (row) => row.nights && last(row) + row.nights.end,
      (row) => (row.nights ? [last(row), under(nightName(row.nights.end, asked))] : [])],
    ["nights", "Nights", "158px", (row) => (row.nights ? missed(row) : undefined),
      (row) => (row.nights ? [strip(row.nights), under(
        missed(row) ? `${missed(row)} of ${row.nights.outcomes.length} not in order`
          : `all in order (${row.nights.outcomes.length})`)] : [])],
    ["students", "Students", "98px", (row) => row.students,
      (row) => (row.students === undefined ? [] : [number(row.students), trend(row.nights)]), "number"],
    ["credential", "Credential", "108px", (row) => row.days,
      (row) => (row.days === undefined ? [] : [`${row.days} d`, under(`of ${row.maximum} d`)]), "number"],
    ["next", "Next start", "116px", (row) => start(row) && start(row)[0],
      (row) => (start(row) ? [whole(row.next), under(months.format(Date.parse(start(row)[0])))] : [])],
    ["note", "Note", "minmax(0, 3.4fr)", (row) => (row.problems ? row.problems[0][1] : undefined),
      (row) => [(row.problems || []).map(([, text]) => [h("span", {}, text), " "]),
        row.command ? h("button", { class: "more", type: "button", onclick: () => open(row) }, "Show how to approve it") : ""]],
  ].filter(([name, , , by]) => ALWAYS.includes(name) || rows.some((row) => by(row) !== undefined));

  function tableRow(row) {
    row.text = [row.district, row.host, row.feed, last(row), states[row.state],
      ...(row.problems || []).map(([, text]) => text)].join(" ").toLowerCase();
    row.element = h("tr", { role: "row" }, columns.map(([name, title, , , show, kind]) =>
      h("td", {
        role: "cell",
        class: [name, kind, name === "state" ? states[row.state] : ""].filter(Boolean).join(" "),
        "data-label": ALWAYS.includes(name) ? undefined : title,
      }, show(row))));
    row.element.querySelector(".open").addEventListener("click", () => open(row));
    return row.element;
  }

  let sorted = { name: "state", direction: 1 };
  function sort(name) {
    sorted = { name, direction: sorted.name === name ? -sorted.direction : 1 };
    order();
  }
  function order() {
    const by = columns.find(([name]) => name === sorted.name)[3];
    const keys = new Map(rows.map((row) => [row, by(row)]));
    const compare = (a, b) => {
      const left = keys.get(a), right = keys.get(b);
      if (left === undefined || right === undefined) return (left === undefined) - (right === undefined);
      const difference = typeof left === "number" ? left - right : collator.compare(left, right);
      return sorted.direction * difference || a.state - b.state || collator.compare(a.district, b.district);
    };
    byId("rows").append(...rows.sort(compare).map((row) => row.element || tableRow(row)));
    for (const head of byId("head").children) {
      if (head.dataset.name === sorted.name) head.setAttribute("aria-sort", sorted.direction > 0 ? "ascending" : "descending");
      else head.removeAttribute("aria-sort");
    }
  }

  // ---- the filter -------------------------------------------------------------------------------

  const wanted = new Set();
  function filter() {
    const words = byId("text").value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const row of rows) {
      const isShown = (!wanted.size || wanted.has(row.state)) && words.every((word) => row.text.includes(word));
      row.element.hidden = !isShown;
      count += isShown;
    }
    byId("count").textContent = count === rows.length ? `${number(count)} shown` : `${number(count)} of ${number(rows.length)} shown`;
    byId("none").hidden = count > 0;
  }
  function chip(state, index) {
    const count = rows.filter((row) => row.state === index).length;
    if (!count && ["new", "off"].includes(state)) return "";
    return h("button", {
      class: `chip ${state}`, type: "button", "aria-pressed": "false", "data-state": state,
      onclick(event) {
        const isOn = !wanted.delete(index);
        if (isOn) wanted.add(index);
        event.currentTarget.setAttribute("aria-pressed", isOn);
        filter();
      },
    }, mark(state), STATE_WORDS[state], h("b", {}, number(count)));
  }

  // ---- a district's details ---------------------------------------------------------------------

  /** All nights as a calendar: weeks from left to right, days from Monday down. */
  function calendar(nights) {
    const size = 11, step = 13, left = 26, top = 14;
    const all = [...nights.outcomes];
    const monday = (date) => (date.getUTCDay() + 6) % 7;
    const first = new Date(Date.parse(nights.end) - (all.length - 1) * DAY);
    const start = first - monday(first) * DAY;
    const codes = [...nights.codes];
    const cells = [], months = [];
    let month = -1;
    all.forEach((letter, index) => {
      const date = new Date(Date.parse(nights.end) - index * DAY);
      const place = Math.round((date - start) / DAY);
      const x = left + Math.floor(place / 7) * step, y = top + (place % 7) * step;
      const state = stateOf(letter);
      const code = isBad(letter) ? codes.shift() : 0;
      cells.push(s("g", {}, s("title", {}, `${nightOf(nights, index)}: ${wordOf(letter)}${code ? ` (${code})` : ""}`),
        ...cell(letter, state, x, y, size)));
    });
    for (let week = 0; start + week * 7 * DAY <= Date.parse(nights.end); week++) {
      const date = new Date(start + week * 7 * DAY);
      if (date.getUTCMonth() !== month && (month >= 0 || date.getUTCDate() < 20)) {
        months.push(s("text", { x: left + week * step, y: 9 }, date.toLocaleString("en", { month: "short", timeZone: "UTC" })));
      }
      month = date.getUTCMonth();
    }
    const days = ["Mon", "", "Wed", "", "Fri"].map((day, index) => s("text", { x: 0, y: top + index * step + 9 }, day));
    const width = left + Math.ceil((Date.parse(nights.end) - start + DAY) / (7 * DAY)) * step;
    return s("svg", { width, height: top + 7 * step, role: "img", "aria-label": calendarText(nights) }, months, days, cells);
  }
  function cell(letter, state, x, y, size) {
    const box = letter === "k"
      ? s("rect", { class: "p-k", x: x + 0.5, y: y + 0.5, width: size - 1, height: size - 1, rx: 2 })
      : s("rect", { class: state === "green" ? "p-s" : `p-${state}`, x, y, width: size, height: size, rx: 2 });
    const sign = { red: `M${x + 3} ${y + 3}l5 5m0-5l-5 5`, amber: `M${x + 3} ${y + 5.5}h5` }[state];
    return sign ? [box, s("path", { class: "sign", d: sign })] : [box];
  }
  function counted(nights) {
    const counts = {};
    for (const letter of nights.outcomes) counts[letter] = (counts[letter] || 0) + 1;
    return Object.entries(counts).sort((a, b) => b[1] - a[1]);
  }
  const calendarText = (nights) => `Calendar of ${nights.outcomes.length} nights, the last of ${nightName(nights.end, asked)}: ` +
    counted(nights).map(([letter, count]) => `${count} ${wordOf(letter)}`).join(", ");
  const legend = (nights) => h("ul", { class: "legend" }, counted(nights).map(([letter, count]) =>
    h("li", {}, s("svg", { width: 11, height: 11, "aria-hidden": "true" }, cell(letter, stateOf(letter), 0, 0, 11)),
      `${wordOf(letter)}: ${number(count)}`)));

  /** A line of one column over all nights. The pointer shows its values. */
  function chart([title, unit], values, nights) {
    const known = values.filter((value) => value !== null);
    if (!known.length) return "";
    const WIDTH = 400, HEIGHT = 72, edge = 4;
    const [low, high] = [Math.min(...known), Math.max(...known)];
    const show = (value) => (unit === "KiB" ? bytes(value * 1024) : number(value));
    const range = low === high ? "all the same" : `${show(low)} to ${show(high)}`;
    const d = path(values, WIDTH, HEIGHT - 2 * edge);
    const read = h("span", { class: "small" }, range);
    const cursor = s("path", { class: "cursor" });
    const newest = [...values].reverse().find((value) => value !== null);
    const picture = s("svg", {
      viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img",
      "aria-label": `${title}, ${values.length} nights: now ${show(newest)}, ${range}`,
      onpointermove(event) {
        const box = picture.getBoundingClientRect();
        const share = Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1);
        const index = Math.round(share * (values.length - 1));
        const value = values[index];
        read.textContent = `${nightOf(nights, values.length - 1 - index)}: ${value === null ? "not known" : show(value)}`;
        cursor.setAttribute("d", `M${(index * WIDTH) / Math.max(values.length - 1, 1)} 0v${HEIGHT}`);
      },
      onpointerleave() { read.textContent = range; cursor.removeAttribute("d"); },
    }, s("g", { transform: `translate(0 ${edge})` }, s("path", { class: "line", d })), cursor);
    return h("figure", {}, h("figcaption", {}, h("span", {}, h("b", {}, title), ` ${show(newest)}`), read), picture);
  }

  function guard(row) {
    if (!row.command) return "";
    const copy = h("button", { class: "button", type: "button", async onclick() {
      try {
        await navigator.clipboard.writeText(row.command);
      } catch {  // a page of a file may not always
        getSelection().selectAllChildren(command);
        document.execCommand("copy");
      }
      copy.textContent = "Copied";
      setTimeout(() => { copy.textContent = "Copy"; }, 2000);
    } }, "Copy");
    const command = h("pre", {}, row.command);
    return h("section", { class: "guard" }, h("h3", {}, "The guard holds the export"),
      h("ul", {}, (row.held || []).map((reason) => h("li", {}, reason))),
      h("p", {}, "Look at it in the SIS. If it is right, this lets just that file through, once:"),
      h("div", { class: "command" }, command, copy));
  }

  function facts(row) {
    const told = [
      ["Host", row.host], ["Feed", row.feed], ["Vendor's server", row.server],
      ["Window (UTC)", row.window],
      ["Size of the export", row.bytes === undefined ? undefined : bytes(row.bytes)],
      ["Last sent", whole(row.sent)],
      ["Next delivery", whole((start(row) || [])[1])],
      ["Next rehearsal", whole((start(row, "roster-rehearse") || [])[1])],
      ["Next deadline watch", whole((start(row, "roster-watch") || [])[1])],
      ["Secrets sealed by", row.sealed],
      ["Credential's age", row.days !== undefined ? `${number(row.days)} of ${number(row.maximum)} days (${row.auth})` : undefined],
      ["Free on the host's disk", row.free !== undefined ? `${number(row.free)} GiB` : undefined],
      ["Host's clock", row.synced === undefined ? undefined : row.synced ? "synchronised" : "not synchronised"],
      ["Program", row.program],
    ];
    return h("dl", {}, told.filter(([, value]) => value !== undefined).map(([name, value]) =>
      h("div", {}, h("dt", {}, name), h("dd", {}, value))));
  }

  /** The newest nights that were not in order. */
  function wrong(nights) {
    const found = [];
    [...nights.outcomes].forEach((letter, index) => {
      if (isBad(letter)) found.push([nightOf(nights, index), wordOf(letter), nights.codes[found.length]]);
    });
    if (!found.length) return "";
    return [h("h3", {}, found.length > 20 ? `The last 20 of ${number(found.length)} nights not in order` : "Nights not in order"),
      h("table", { class: "wrong" },
        h("thead", {}, h("tr", {}, ["Night", "Outcome", "Exit code"].map((title) => h("th", { scope: "col" }, title)))),
        h("tbody", {}, found.slice(0, 20).map(([night, word, code]) =>
          h("tr", {}, h("td", {}, night), h("td", {}, word), h("td", {}, code ? `${code}: ${meanings[code] || "not known here"}` : "no receipt")))))];
  }

  const isTold = (row, message) => (row.problems || []).some(([, text]) => message.includes(text) || text.includes(message));
  const dialog = byId("detail");
  function open(row) {
    const state = states[row.state], nights = row.nights;
    const subtitle = [row.feed, row.host].filter(Boolean).join(" on ");
    dialog.replaceChildren(
      h("div", { class: "top" },
        h("div", {}, h("h2", { id: "title" }, row.district),
          h("p", {}, h("strong", { class: state }, mark(state), ` ${STATE_WORDS[state]}`), nights ? `, ${last(row)} · ` : " · ", subtitle)),
        h("button", { class: "button", type: "button", onclick: () => dialog.close() }, "Close")),
      h("div", { class: "body" },
        h("ul", { class: "problems" }, (row.problems || []).map(([level, text]) =>
          h("li", { class: states[level] }, mark(states[level]), h("span", {}, h("span", { class: "hidden" }, `${STATE_WORDS[states[level]]}: `), text)))),
        guard(row),
        row.last && !isTold(row, row.last) ? [h("h3", {}, "Last delivery"), h("p", {}, row.last)] : "",
        row.rehearsal && !isTold(row, row.rehearsal) ? [h("h3", {}, "Last rehearsal"), h("p", {}, row.rehearsal)] : "",
        h("h3", {}, "Facts"), facts(row),
        nights ? [
          h("h3", {}, "Nights"),
          h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Calendar of nights" }, calendar(nights)),
          legend(nights),
          h("h3", {}, "Over time"),
          h("div", { class: "charts" }, series.map((title, index) => chart(title, unpacked(nights.series[index]).reverse(), nights))),
          wrong(nights)] : ""));
    dialog.showModal();
    dialog.scrollTop = 0;
    const scroll = dialog.querySelector(".scroll");
    if (scroll) scroll.scrollLeft = scroll.scrollWidth;
  }
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });

  // ---- start ------------------------------------------------------------------------------------

  // A night ends at the latest deadline. An hour later its page should be there.
  const [endHour, endMinute] =
    (rows.map((row) => (row.window || "").slice(-5)).sort().pop() || "09:00").split(":").map(Number);
  function lastEnd(now) {
    const end = new Date(now - HOUR).setUTCHours(endHour, endMinute, 0, 0);
    return end > now - HOUR ? end - DAY : end;
  }
  function tellAge() {
    const now = Date.now(), written = Date.parse(asked);
    const age = Math.floor((now - written) / HOUR), isOutdated = written < lastEnd(now);
    if (age >= 1) byId("age").textContent = age < 48 ? ` (${age} h ago)` : ` (${Math.floor(age / 24)} days ago)`;
    byId("age").classList.toggle("old", isOutdated);
    byId("outdated").hidden = !isOutdated;
  }
  tellAge();
  setInterval(tellAge, HOUR / 60);  // the page may stay open
  byId("table").style.setProperty("--columns", columns.map(([, , width]) => width).join(" "));
  byId("states").append(...states.map(chip).filter(Boolean));
  byId("head").append(...columns.map(([name, title, , , , kind]) =>
    h("th", { role: "columnheader", scope: "col", "data-name": name, class: kind },
      h("button", { class: "sort", type: "button", onclick: () => sort(name) }, title))));
  order();
  filter();
  byId("text").addEventListener("input", filter);
  document.documentElement.dataset.ready = "yes";
})();
