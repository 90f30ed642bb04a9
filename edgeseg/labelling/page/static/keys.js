// The keyboard: everything that a pointer can do, and the page that tells the keys.

import { UNLABELLED } from "./mask.js";
import { TOOLS } from "./tools.js";

export const keyOfClass = (id) => (id < 10 ? `${(id + 1) % 10}` : id < 20 ? `⇧${(id + 1) % 10}` : "");

export function listenToKeys({ editor, actions, help, stage }) {
  const tools = new Map(TOOLS.map(([name, key]) => [key.toLowerCase(), name]));
  const plain = {
    a: actions.accept,
    x: actions.skip,
    l: actions.flag,
    t: actions.before,
    h: () => editor.toggleHidden(),
    i: actions.unsure,
    k: () => editor.togglePatterns(),
    d: actions.protect,
    u: () => editor.chooseClass(UNLABELLED),
    z: () => editor.undo(),
    y: () => editor.redo(),
    g: () => editor.view.fit(),
    q: () => nextClass(-1),
    w: () => nextClass(1),
    ".": () => actions.go(1),
    ",": () => actions.go(-1),
    "+": () => editor.view.zoom(1.25),
    "=": () => editor.view.zoom(1.25),
    "-": () => editor.view.zoom(0.8),
    "[": () => editor.setSize(smaller(editor.size)),
    "]": () => editor.setSize(larger(editor.size)),
    "{": () => editor.setOpacity(editor.opacity - 10),
    "}": () => editor.setOpacity(editor.opacity + 10),
    "?": () => help.showModal(),
    pagedown: () => actions.go(1),
    pageup: () => actions.go(-1),
    delete: () => editor.undo(),
  };

  function nextClass(step) {
    const order = [...editor.classes.keys(), UNLABELLED];
    const place = order.indexOf(editor.classId);
    editor.chooseClass(order[(place + step + order.length) % order.length]);
  }

  const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

  function moveCursor([dx, dy], event) {
    const { mask, view } = editor;
    const step = event.shiftKey ? Math.max(10, editor.size / 2) : event.altKey ? 1 : 4;
    const [x, y] = editor.cursor ?? [mask.width / 2, mask.height / 2];
    editor.isByKeys = true;
    editor.cursor = [
      Math.min(mask.width - 0.5, Math.max(0.5, Math.floor(x) + dx * step + 0.5)),
      Math.min(mask.height - 0.5, Math.max(0.5, Math.floor(y) + dy * step + 0.5)),
    ];
    view.show(...editor.cursor);
    if (editor.tool.isDown) editor.tool.move(...editor.cursor);
    else editor.tool.hover?.(...editor.cursor);
    editor.drawTip();
  }

  function press() {
    // Space: begins and ends a stroke, or does what a click does.
    if (editor.isReadOnly) return;
    if (!editor.cursor) moveCursor([0, 0], {});
    editor.isByKeys = true;
    if (editor.tool.isDown) editor.tool.up();
    else editor.tool.down?.(...editor.cursor);
    editor.drawTip();
  }

  document.addEventListener("keydown", (event) => {
    const isTyping = event.target.closest("input[type=text], input:not([type]), textarea, select");
    if (document.querySelector("dialog[open]")) return;
    if (event.key === "Escape") {
      if (editor.tool.cancel?.()) event.preventDefault();
      document.body.classList.remove("shows-queue");
      stage.focus();
      return;
    }
    if (isTyping || event.isComposing) return;
    const key = event.key.toLowerCase();
    const isRange = event.target.type === "range";
    const isAltGr = event.getModifierState?.("AltGraph"); // types [ ] { } on many keyboards
    if ((event.ctrlKey || event.metaKey) && !isAltGr) {
      if (key === "z") act(event, () => (event.shiftKey ? editor.redo() : editor.undo()));
      if (key === "y") act(event, () => editor.redo());
      return; // what else is the browser's
    }
    if (!editor.frame && ![".", ",", "pagedown", "pageup", "?"].includes(key)) return;
    const digit = /^Digit(\d)$/.exec(event.code);
    if (digit && !event.altKey && !isAltGr) {
      const id = ((Number(digit[1]) + 9) % 10) + (event.shiftKey ? 10 : 0);
      if (id < editor.classes.length) return act(event, () => editor.chooseClass(id));
    }
    if (key === "z" && event.shiftKey) return act(event, () => editor.redo());
    if (moves[event.key] && !isRange && !event.target.closest(".frames, .classes, .tool-row")) {
      return act(event, () => moveCursor(moves[event.key], event));
    }
    const isOnButton = event.target.closest("button, summary, .frames");
    if (event.key === " " && !isOnButton && !event.repeat) return act(event, press);
    if (event.key === "Enter" && !isOnButton) {
      if (editor.tool.close?.()) event.preventDefault();
      return;
    }
    if (event.key === "Backspace") {
      return act(event, () => editor.tool.back?.() || editor.undo());
    }
    if (tools.has(key) && !event.shiftKey) return act(event, () => editor.choose(tools.get(key)));
    if (plain[key]) act(event, plain[key]);
  });
}

function act(event, action) {
  event.preventDefault();
  action();
}

const larger = (size) => Math.max(size + 1, Math.round(size * 1.2));
const smaller = (size) => Math.min(size - 1, Math.round(size / 1.2));

const HELP = [
  ["Draw", [
    ...TOOLS.map(([, key, text]) => [key, text]),
    ["1 … 9, 0", "Choose a class; with Shift the eleventh to twentieth"],
    ["Q  W", "Class before, next class"],
    ["U", "Unlabelled: neither trained on nor counted"],
    ["[  ]", "Smaller, larger brush or superpixels"],
    ["D", "Keep labels: draw over unlabelled pixels only"],
    ["Z", "Undo, Shift+Z redo (also Ctrl+Z)"],
    ["Enter", "Close a polygon; Backspace takes a corner back, Esc drops it"],
  ]],
  ["By keyboard alone", [
    ["← ↑ → ↓", "Move the cursor; Shift farther, Alt one pixel"],
    ["Space", "Begin and end a stroke; set a corner; fill"],
    ["Tab", "Go through everything else"],
  ]],
  ["See", [
    ["+  −  G", "Zoom in, out, whole frame; wheel and pinch, too"],
    ["{  }", "Less, more opaque"],
    ["H", "Hide the mask"],
    ["I", "Where the model is unsure"],
    ["K", "Patterns"],
  ]],
  ["Go on", [
    ["A", "Accept the mask, and the next frame"],
    ["X", "Skip: not worth a label"],
    ["L", "Flag, to look at it again"],
    [",  .", "Frame before, next frame"],
    ["T", "The mask of the frame before, for cameras that do not move"],
  ]],
];

export function fillHelp(dialog) {
  const parts = HELP.map(([title, rows]) => {
    const section = document.createElement("section");
    const head = document.createElement("h3");
    head.textContent = title;
    const list = document.createElement("dl");
    for (const [key, text] of rows) {
      const term = document.createElement("dt");
      for (const one of key.split("  ")) {
        const box = document.createElement("kbd");
        box.textContent = one;
        term.append(box);
      }
      const meaning = document.createElement("dd");
      meaning.textContent = text;
      list.append(term, meaning);
    }
    section.append(head, list);
    return section;
  });
  const title = document.createElement("h2");
  title.textContent = "Keys";
  const close = document.createElement("button");
  close.textContent = "Close";
  close.className = "primary";
  close.addEventListener("click", () => dialog.close());
  const note = document.createElement("p");
  note.textContent =
    "Every stroke is saved at once, with its undo history. With a mouse, the right or middle button " +
    "moves the frame; with a pen, fingers do.";
  const grid = document.createElement("div");
  grid.className = "help-grid";
  grid.append(...parts);
  dialog.replaceChildren(title, grid, note, close);
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.addEventListener("keydown", (event) => event.key === "?" && dialog.close());
}
