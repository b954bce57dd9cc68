"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const at = (id) => document.getElementById(id);

  // Tables: a click on a title sorts, the field above searches.
  for (const field of document.querySelectorAll("input[data-table]")) {
    const table = at(field.dataset.table);
    const body = table.tBodies[0];
    const rows = [...body.rows];
    const heads = [...table.tHead.rows[0].cells];
    const found = document.querySelector(`[data-found="${field.dataset.table}"]`);
    field.addEventListener("input", () => {
      const wanted = field.value.trim().toLowerCase();
      let n = 0;
      for (const row of rows) {
        row.hidden = !row.textContent.toLowerCase().includes(wanted);
        n += !row.hidden;
      }
      found.textContent = wanted ? `${n} of ${rows.length}` : "";
    });
    heads.forEach((head, column) => head.firstElementChild.addEventListener("click", () => {
      const numbers = head.classList.contains("number");
      const before = head.getAttribute("aria-sort");
      const down = before === "none" ? numbers : before === "ascending";
      heads.forEach((other) => other.setAttribute("aria-sort", "none"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const key = (row) => row.cells[column].dataset.key;
      const order = (a, b) => {
        if (key(a) === "" || key(b) === "") return (key(a) === "") - (key(b) === "");
        const by = isNaN(key(a)) || isNaN(key(b))
          ? key(a).localeCompare(key(b), undefined, { numeric: true }) : key(a) - key(b);
        return down ? -by : by;
      };
      body.append(...rows.sort(order));
    }));
  }

  if (!data.names) return;

  // Cells.
  const NOTHING = 65535;
  const unpacked = (text) => {
    const bytes = Uint8Array.from(atob(text), (one) => one.charCodeAt(0));
    const whole = new Uint16Array(bytes.length / 2);
    for (let i = 0; i < whole.length; i++) whole[i] = bytes[2 * i] | (bytes[2 * i + 1] << 8);
    return whole;
  };
  const [points, best, call, score, reason] =
    ["points", "best", "call", "score", "reason"].map((name) => unpacked(data[name]));
  const n = data.names.length;
  const nLabels = data.labels.length;
  const noCounts = data.reasons.indexOf("no counts");
  const levels = { believe: "#1a7f4b", check: "#c98a00", doubt: "#b3261e", unseen: data.grey };
  const labels = [...data.labels, "Unclassified"];
  const on = new Array(nLabels + 1).fill(true);
  const filters = ["sample", "cluster"].filter((name) => data[name + "s"]).map((name) => {
    const { names, codes } = data[name + "s"];
    const choice = at(name);
    names.forEach((text, code) => choice.append(new Option(text, code)));
    return { choice, names, codes: unpacked(codes), title: name };
  });
  let threshold = null; // as annotated
  let colourBy = "label";
  const now = new Uint16Array(n); // the label of each cell at the threshold; nLabels: none
  const open = new Uint8Array(n); // whether it is in the chosen sample and cluster

  const canvas = at("plot");
  const ring = at("ring");
  const tip = at("tip");
  const slider = at("threshold");
  const percent = (part, whole) => `${(whole ? 100 * part / whole : 0).toFixed(1)}%`;
  const rgb = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
  const number = (x) => x.toLocaleString("en");

  const legend = labels.map((label, code) => {
    const item = document.createElement("li");
    const name = document.createElement("label");
    const box = Object.assign(document.createElement("input"), { type: "checkbox", checked: true });
    const square = document.createElement("i");
    const text = document.createElement("span");
    const count = document.createElement("span");
    square.className = "swatch";
    count.className = "quiet count";
    text.textContent = label;
    name.append(box, square, text);
    item.append(name, count);
    at("legend").append(item);
    box.addEventListener("change", () => { on[code] = box.checked; draw(); });
    return { item, box, square, count };
  });
  const setAll = (wanted) => {
    legend.forEach(({ box }, code) => { box.checked = on[code] = wanted; });
    draw();
  };
  at("all").addEventListener("click", () => setAll(true));
  at("none").addEventListener("click", () => setAll(false));

  // One order for all drawings, by lot, so that no label lies above the others.
  const order = Uint32Array.from({ length: n }, (_, i) => i);
  for (let i = n - 1, state = 1; i > 0; i--) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const j = state % (i + 1);
    [order[i], order[j]] = [order[j], order[i]];
  }

  const recount = () => {
    const cut = Math.round(threshold * data.parts);
    const counts = new Array(nLabels + 1).fill(0);
    open.fill(1);
    for (const { choice, codes } of filters) {
      if (choice.value !== "") for (let i = 0; i < n; i++) open[i] &= codes[i] === +choice.value;
    }
    for (let i = 0; i < n; i++) {
      const given = threshold === null ? call[i]
        : score[i] >= cut && reason[i] !== noCounts ? best[i] : NOTHING;
      now[i] = given === NOTHING ? nLabels : given;
      counts[now[i]] += open[i];
    }
    const all = counts.reduce((a, b) => a + b, 0);
    const none = counts[nLabels];
    const where = filters.filter(({ choice }) => choice.value !== "")
      .map(({ choice, names, title }) => ` of ${title} ${names[choice.value]}`).join("");
    const how = threshold !== null ? `At a threshold of ${threshold.toFixed(2)}`
      : data.threshold === null ? "As annotated" : `As annotated, at a threshold of ${data.threshold.toFixed(2)}`;
    at("count").textContent = `${how}, ${number(all - none)} of ${number(all)} cells${where} have a label (${percent(all - none, all)}); ${number(none)} are Unclassified.`;
    legend.forEach(({ count, item }, code) => {
      count.textContent = number(counts[code]);
      item.classList.toggle("empty", !counts[code]);
    });
    at("shown-threshold").textContent = (+slider.value).toFixed(2);
  };

  const colours = () => {
    const of = (code) => code === nLabels ? data.grey
      : colourBy === "verdict" ? levels[data.levels[code]] : data.colours[code];
    legend.forEach(({ square }, code) => { square.style.background = colourBy === "score" ? "transparent" : of(code); });
    return labels.map((_, code) => rgb(of(code)));
  };
  const ramp = (share) => [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]]
    .reduce((sum, stop, k) => { // viridis
      const weight = Math.max(0, 1 - Math.abs(4 * share - k));
      return sum.map((part, c) => part + weight * stop[c]);
    }, [0, 0, 0]);
  const ramps = Array.from({ length: 101 }, (_, i) => ramp(i / 100));

  // Where points lie on the canvas, in its pixels; the longer side of the drawing fills it.
  let place = null;
  const lay = () => {
    const ratio = window.devicePixelRatio || 1;
    const width = canvas.width = Math.round(canvas.clientWidth * ratio);
    const height = canvas.height = Math.round(canvas.clientHeight * ratio);
    let [right, top] = [1, 1];
    for (let i = 0; i < n; i++) {
      if (points[2 * i] === NOTHING) continue;
      right = Math.max(right, points[2 * i]);
      top = Math.max(top, points[2 * i + 1]);
    }
    const rim = 10 * ratio; // wider than a point
    const scale = Math.min((width - 2 * rim) / right, (height - 2 * rim) / top);
    const [left, under] = [(width - scale * right) / 2, (height + scale * top) / 2];
    const [x, y] = [new Int32Array(n), new Int32Array(n)];
    for (let i = 0; i < n; i++) {
      x[i] = Math.round(left + scale * points[2 * i]);
      y[i] = Math.round(under - scale * points[2 * i + 1]);
    }
    place = { ratio, width, height, x, y, wide: canvas.clientWidth };
  };
  const visible = (i) => open[i] && on[now[i]] && points[2 * i] !== NOTHING;

  // A disc: the distances of its pixels in the image, and how much of each it covers. Of many, edges are hard.
  const disc = (radius, width) => {
    const [jumps, covers] = [[], []];
    for (let y = -Math.ceil(radius); y <= radius; y++) {
      for (let x = -Math.ceil(radius); x <= radius; x++) {
        const cover = Math.min(1, radius + 0.5 - Math.hypot(x, y));
        if (cover > 0 && (n < 20000 || cover > 0.4)) {
          jumps.push(y * width + x);
          covers.push(n < 20000 ? cover : 1);
        }
      }
    }
    return [Int32Array.from(jumps), Float32Array.from(covers)];
  };

  const paint = () => {
    const context = canvas.getContext("2d", { willReadFrequently: true }); // nothing but pixels is put there
    const { ratio, width, height, x, y } = place;
    const image = context.createImageData(width, height);
    const pixels = image.data;
    const words = new Uint32Array(pixels.buffer);
    words.fill(0xffffffff);
    const [jumps, covers] = disc(ratio * (n < 1500 ? 3.2 : n < 20000 ? 2.2 : 1.2), width);
    const word = ([r, g, b]) => (0xff000000 | (Math.round(b) << 16) | (Math.round(g) << 8) | Math.round(r)) >>> 0;
    const palette = colours();
    const [plain, ramped] = [palette.map(word), ramps.map(word)];
    const faint = [238, 238, 238];
    const stamp = (i, colour, whole) => {
      const at = y[i] * width + x[i];
      for (let k = 0; k < jumps.length; k++) {
        if (covers[k] === 1) {
          words[at + jumps[k]] = whole;
        } else {
          const first = 4 * (at + jumps[k]);
          for (let c = 0; c < 3; c++) pixels[first + c] += covers[k] * (colour[c] - pixels[first + c]);
        }
      }
    };
    const layer = new Uint8Array(n); // from below: not chosen, without a label, with one; 3: without a place
    for (let i = 0; i < n; i++) {
      layer[i] = points[2 * i] === NOTHING ? 3 : visible(i) ? (now[i] === nLabels ? 1 : 2) : 0;
    }
    for (let drawn = 0; drawn < 3; drawn++) {
      for (let k = 0; k < n; k++) {
        const i = order[k];
        if (layer[i] !== drawn) continue;
        if (!drawn) stamp(i, faint, word(faint));
        else if (colourBy !== "score") stamp(i, palette[now[i]], plain[now[i]]);
        else {
          const share = Math.round(100 * score[i] / data.parts);
          stamp(i, ramps[share], ramped[share]);
        }
      }
    }
    context.putImageData(image, 0, 0);
  };

  let asked = false;
  const draw = () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      recount();
      if (!place || canvas.clientWidth !== place.wide) lay();
      paint();
      if (current >= 0) show(visible(current) ? current : -1);
    });
  };

  // One cell at a time: under the pointer, or by the arrow keys.
  let current = -1;
  const show = (i) => {
    current = i;
    ring.hidden = tip.hidden = i < 0;
    if (i < 0) return;
    const [x, y] = [place.x[i] / place.ratio, place.y[i] / place.ratio];
    ring.style.left = `${x}px`;
    ring.style.top = `${y}px`;
    const why = now[i] === nLabels && data.reasons[reason[i]] ? `: ${data.reasons[reason[i]]}` : "";
    const lines = [
      data.names[i],
      `${labels[now[i]]}${why}`,
      `score ${(Math.floor(score[i] / data.parts * 1000) / 1000).toFixed(3)}`
        + (now[i] === nLabels && best[i] !== NOTHING ? `, closest: ${labels[best[i]]}` : ""),
      ...filters.filter(({ codes }) => codes[i] !== NOTHING).map(({ title, names, codes }) => `${title} ${names[codes[i]]}`),
    ];
    tip.replaceChildren(...lines.map((text, k) => {
      const line = document.createElement(k === 1 ? "b" : "span");
      line.textContent = text;
      return line;
    }));
    const wide = canvas.clientWidth;
    tip.style.left = `${Math.min(Math.max(x, 8), wide - 8)}px`;
    tip.style.top = `${y}px`;
    tip.style.transform = `translate(${x > wide / 2 ? "calc(-100% - 12px)" : "12px"}, ${y > canvas.clientHeight / 2 ? "calc(-100% - 6px)" : "6px"})`;
  };
  const closest = (x, y, allowed, far) => {
    let [found, least] = [-1, far];
    for (let i = 0; i < n; i++) {
      if (!visible(i)) continue;
      const [dx, dy] = [place.x[i] - x, place.y[i] - y];
      const distance = dx * dx + dy * dy;
      if (distance < least && allowed(dx, dy)) [found, least] = [i, distance];
    }
    return found;
  };
  canvas.addEventListener("pointermove", (event) => {
    const box = canvas.getBoundingClientRect();
    const [x, y] = [(event.clientX - box.left) * place.ratio, (event.clientY - box.top) * place.ratio];
    show(closest(x, y, () => true, (12 * place.ratio) ** 2));
  });
  canvas.addEventListener("pointerleave", () => show(-1));
  canvas.addEventListener("blur", () => show(-1));
  canvas.addEventListener("keydown", (event) => {
    const [right, down] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key] || [0, 0];
    if (event.key === "Escape") show(-1);
    if (!right && !down) return;
    event.preventDefault();
    const [x, y] = current < 0 ? [place.width / 2, place.height / 2] : [place.x[current], place.y[current]];
    const ahead = (dx, dy) => right ? right * dx > 0.5 && Math.abs(dy) <= right * dx : down * dy > 0.5 && Math.abs(dx) <= down * dy;
    const next = closest(x, y, current < 0 ? () => true : ahead, Infinity);
    if (next >= 0) show(next);
  });

  slider.addEventListener("input", () => { threshold = +slider.value; draw(); });
  at("reset").addEventListener("click", () => { slider.value = data.start; threshold = null; draw(); });
  at("colour").addEventListener("change", (event) => { colourBy = event.target.value; draw(); });
  filters.forEach(({ choice }) => choice.addEventListener("change", draw));
  new ResizeObserver(draw).observe(canvas);
  draw();
})();
