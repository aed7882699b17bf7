/** Drawing, at most once per frame of the screen, and not at all while nobody can see it. */

const waiting = new Set();
let asked = false;

function run() {
  asked = false;
  const now = [...waiting];
  waiting.clear();
  for (const draw of now) draw();
}

/** Draws before the next frame; asked several times it still draws once. */
export function schedule(draw) {
  waiting.add(draw);
  if (!asked) {
    asked = true;
    requestAnimationFrame(run);
  }
}

/** Draws no more. */
export function unschedule(draw) {
  waiting.delete(draw);
}

/** Calls at most once in so many milliseconds, and once more at the end. */
export function calmly(ms, work) {
  let timer = null;
  let next = 0;
  const call = () => {
    if (timer !== null) return;
    timer = setTimeout(
      () => {
        timer = null;
        next = performance.now() + ms;
        work();
      },
      Math.max(0, next - performance.now()),
    );
  };
  call.cancel = () => clearTimeout(timer);
  return call;
}
