// Mouse, pen and fingers on the stage. One finger draws, two move and zoom; once a pen was seen,
// fingers only move, so that a resting hand does not draw.

export function listenToPointers(stage, editor) {
  const fingers = new Map();
  let drawing = null; // id of the pointer that draws
  let panning = null;
  let isPenSeen = false;
  let toolBefore = null; // while the other end of a pen erases

  const place = (event) => editor.view.toFrame(event.clientX, event.clientY);

  stage.addEventListener("pointerdown", (event) => {
    if (event.target.closest(".notice, .empty")) return; // these have buttons of their own
    stage.focus({ preventScroll: true });
    if (event.pointerType === "pen") isPenSeen = true;
    stage.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, [event.clientX, event.clientY]);
    const isFinger = event.pointerType === "touch";
    if (fingers.size > 1 && isFinger) {
      if (drawing !== null) editor.tool.cancel?.();
      drawing = panning = null;
      return;
    }
    const isOtherEnd = event.pointerType === "pen" && event.button === 5;
    if (isOtherEnd && drawing === null) {
      toolBefore = editor.tool.name;
      editor.choose("eraser");
    }
    const isOtherButton = event.button > 0 && !isOtherEnd;
    const isHand = editor.tool.name === "hand" || isOtherButton || (isFinger && isPenSeen);
    if (isHand || editor.isReadOnly || !editor.frame) {
      panning = event.pointerId;
    } else if (drawing === null) {
      drawing = event.pointerId;
      editor.isByKeys = false;
      editor.cursor = place(event);
      editor.tool.down?.(...editor.cursor);
      editor.drawTip();
    }
    event.preventDefault();
  });

  stage.addEventListener("pointermove", (event) => {
    const before = fingers.get(event.pointerId);
    if (before && fingers.size > 1 && event.pointerType === "touch") return pinch(event, before);
    if (before && panning === event.pointerId) {
      editor.view.pan(event.clientX - before[0], event.clientY - before[1]);
      fingers.set(event.pointerId, [event.clientX, event.clientY]);
      return;
    }
    editor.isByKeys = false;
    editor.cursor = place(event);
    if (drawing === event.pointerId) {
      const parts = event.getCoalescedEvents?.() ?? [];
      for (const part of parts.length ? parts : [event]) editor.tool.move?.(...place(part));
    } else if (drawing === null) {
      editor.tool.hover?.(...editor.cursor);
    }
    editor.drawTip();
  });

  function pinch(event, before) {
    const [other] = [...fingers].filter(([id]) => id !== event.pointerId).map(([, at]) => at);
    const now = [event.clientX, event.clientY];
    const distance = ([x, y]) => Math.hypot(x - other[0], y - other[1]) || 1;
    const middle = ([x, y]) => [(x + other[0]) / 2, (y + other[1]) / 2];
    const [from, to] = [middle(before), middle(now)];
    editor.view.pan(to[0] - from[0], to[1] - from[1]);
    editor.view.zoom(distance(now) / distance(before), ...to);
    fingers.set(event.pointerId, now);
  }

  const end = (event) => {
    fingers.delete(event.pointerId);
    if (panning === event.pointerId) panning = null;
    if (drawing === event.pointerId) {
      drawing = null;
      if (event.type === "pointercancel") editor.tool.cancel?.();
      else editor.tool.up?.();
      if (toolBefore) editor.choose(toolBefore);
      toolBefore = null;
    }
  };
  stage.addEventListener("pointerup", end);
  stage.addEventListener("pointercancel", end);
  stage.addEventListener("pointerleave", () => {
    if (drawing === null && !editor.isByKeys) {
      editor.cursor = null;
      editor.drawTip();
    }
  });
  stage.addEventListener("contextmenu", (event) => event.preventDefault());
  stage.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      const lines = event.deltaMode === 1 ? 16 : 1;
      editor.view.zoom(Math.exp(-event.deltaY * lines * 0.0022), event.clientX, event.clientY);
    },
    { passive: false },
  );
}
