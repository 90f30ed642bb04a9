// What the page asks its server, and the steps on their way there: in order, each until it is
// answered, so that a server that is gone for a while loses nothing.

export const TAB = tabName();
const RETRY = 1000; // ms

function tabName() {
  // A tab that is loaded again goes on; one that was duplicated gets a name of its own.
  const kind = performance.getEntriesByType("navigation")[0]?.type;
  const known = kind === "reload" ? sessionStorage.getItem("tab") : null;
  const name = known ?? crypto.getRandomValues(new Uint32Array(3)).join("-");
  sessionStorage.setItem("tab", name);
  return name;
}

export const siteKnown = { id: "" }; // that this page was loaded of

export class Refusal extends Error {
  constructor(status, content, isOurs) {
    super(content.error ?? `the server answered ${status}`);
    this.status = status;
    this.kind = content.kind;
    this.person = content.person;
    // Whether the page's own server has decided, so that asking again changes nothing. What a proxy,
    // a lost token or the server of another site answers may pass.
    this.isFinal = isOurs && [400, 404, 409].includes(status);
  }
}

async function answerOf(response) {
  if (response.status === 204) return null;
  const isJson = response.headers.get("content-type")?.startsWith("application/json");
  if (response.ok) return response.json();
  const content = isJson ? await response.json() : { error: (await response.text()).trim() };
  throw new Refusal(response.status, content, Boolean(isJson && content.error));
}

export const get = async (path) => answerOf(await fetch(path, { cache: "no-store" }));

export const post = async (path, content, options = {}) =>
  answerOf(
    await fetch(path, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-Edgeseg-Site": siteKnown.id },
      body: JSON.stringify(content),
      ...options,
    }),
  );

export const frameAddress = (id, what) => `/api/frames/${encodeURIComponent(id)}/${what}`;

export class Outbox {
  // Steps that are not saved yet, of any frame.
  constructor({ changed, refused }) {
    this.waiting = [];
    this.revisions = new Map();
    this.views = new Map(); // what frames began with here
    this.changed = changed;
    this.refused = refused;
    this.isSending = false;
    this.trouble = "";
    this.number = 0;
    this.savedMs = 0; // of the last step
  }

  push(frame, step) {
    const name = `${TAB}-${Date.now().toString(36)}-${this.number++}`;
    const done = new Promise((resolve) => this.waiting.push({ frame, step, name, resolve }));
    this.changed();
    this.#send();
    return done;
  }

  async drained() {
    while (this.waiting.length) await new Promise((resolve) => setTimeout(resolve, 30));
  }

  drop(frame) {
    const dropped = this.waiting.filter((item) => item.frame === frame);
    this.waiting = this.waiting.filter((item) => item.frame !== frame);
    for (const item of dropped) item.resolve(false);
    this.changed();
  }

  async #send() {
    if (this.isSending) return;
    this.isSending = true;
    while (this.waiting.length) {
      const item = this.waiting[0];
      const revision = this.revisions.get(item.frame) ?? 0;
      const { beginning = "" } = this.views.get(item.frame) ?? {};
      const content = { ...item.step, name: item.name, revision, beginning, tab: TAB };
      if (item.start) content.start = item.start;
      const begin = performance.now();
      try {
        const answer = await post(frameAddress(item.frame, "events"), content);
        this.revisions.set(item.frame, answer.revision);
        if (this.waiting[0] === item) this.waiting.shift();
        this.trouble = "";
        this.savedMs = performance.now() - begin;
        item.resolve(true);
      } catch (error) {
        if (error.kind === "beginning" && !item.start) {
          const { start, origin, model } = this.views.get(item.frame);
          item.start = { runs: start, origin, model };
        } else if (error instanceof Refusal && error.isFinal) {
          this.drop(item.frame);
          this.refused(item.frame, error);
        } else {
          this.trouble = error instanceof Refusal ? error.message : "the server does not answer";
          this.changed();
          await new Promise((resolve) => setTimeout(resolve, RETRY));
        }
      }
      this.changed();
    }
    this.isSending = false;
  }
}
