// Hands: mouse, touch, keys, buttons.

function preset(name) {
  const home = anglesOf(data.home);
  if (name === "home") fit(home.azimuth, home.elevation);
  if (name === "front") fit(0, 0.06);
  if (name === "side") fit(Math.PI / 2, 0.06);
  if (name === "top") fit(0, Math.PI / 2);
  if (name === "camera") lookThrough(data.cameras[shows.camera]);
  const camera = name === "camera" && data.several ? ` · ${data.cameras[shows.camera].name}` : "";
  $("name").textContent = data.name + camera;
  shows.preset = name;
  draw();
}

/** A button of a view; the camera's, once more, is the next camera's. */
function choose(name) {
  if (name === "camera" && shows.preset === name)
    shows.camera = (shows.camera + 1) % data.cameras.length;
  preset(name);
}

function lookThrough({ axes, position, size: wh, focal, centre }) {
  follow(null);
  let [depth, n] = [0, 0];
  for (const point of cloud()) {
    depth += dot(axes[2], add(point, position, -1));
    n += 1;
  }
  const distance = Math.max(depth / n, 0.5);
  const target = add(position, axes[2], distance);
  Object.assign(view, anglesOf(axes), { target, distance, lens: { focal, centre, size: wh } });
}

function turn(dx, dy) {
  view.azimuth -= 0.008 * dx;
  view.elevation = clamp(view.elevation + 0.008 * dy, -Math.PI / 6, Math.PI / 2);
  view.roll = 0;
  moved();
}

function move(dx, dy) {
  const { width, height } = size($("stage"));
  const from = eye(width, height, player.frame);
  const metres = view.distance / from.focal[1];
  view.target = add(add(view.target, from.axes[0], -dx * metres), from.axes[1], -dy * metres);
  moved();
}

function zoom(factor) {
  view.distance = clamp(view.distance * factor, 0.1, 1e5);
  moved();
}

function moved() {
  shows.preset = null;
  $("name").textContent = data.name;
  draw();
}

function follow(person) {
  if (person === shows.follow) return;
  shows.follow = person;
  $("follow").value = person ? person.id : "";
  fit(view.azimuth, view.elevation);
  moved();
}

function toggle(id) {
  const on = $(id).getAttribute("aria-pressed") !== "true";
  $(id).setAttribute("aria-pressed", on);
  if (id === "two") {
    $("picture").hidden = !on;
    document.querySelector("main").classList.toggle("alone", !on);
  } else shows[id] = on;
  draw();
}

function listenToStage() {
  const canvas = $("world");
  const fingers = new Map();
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, [event.clientX, event.clientY]);
  });
  for (const end of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(end, (event) => fingers.delete(event.pointerId));
  }
  canvas.addEventListener("pointermove", (event) => {
    const before = fingers.get(event.pointerId);
    if (!before) return;
    const now = [event.clientX, event.clientY];
    const [dx, dy] = [now[0] - before[0], now[1] - before[1]];
    fingers.set(event.pointerId, now);
    if (fingers.size === 2) {
      const other = [...fingers].find(([id]) => id !== event.pointerId)[1];
      const apart = (p) => Math.max(Math.hypot(p[0] - other[0], p[1] - other[1]), 1);
      view.distance *= apart(before) / apart(now);
      move(dx / 2, dy / 2);
    } else if (event.shiftKey || event.buttons & 6) move(dx, dy);
    else turn(dx, dy);
  });
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  canvas.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      const lines = event.deltaMode ? 30 : 1;
      zoom(Math.exp(clamp(event.deltaY * lines, -300, 300) * 0.0012));
    },
    { passive: false },
  );
}

const SPEEDS = [0.1, 0.25, 0.5, 1, 2, 4];
const next = (list, now, by) => list[clamp(list.indexOf(now) + by, 0, list.length - 1)];
const KEYS = {
  " ": () => play(),
  ArrowLeft: (event) => (event.shiftKey ? seek(player.time - 1) : step(-1)),
  ArrowRight: (event) => (event.shiftKey ? seek(player.time + 1) : step(1)),
  Home: () => seek(0),
  End: () => seek(times[last()]),
  "[": () => setSpeed(next(SPEEDS, player.speed, -1)),
  "]": () => setSpeed(next(SPEEDS, player.speed, 1)),
  "+": () => zoom(0.85),
  "=": () => zoom(0.85),
  "-": () => zoom(1 / 0.85),
  0: () => choose("home"),
  1: () => choose("camera"),
  2: () => choose("front"),
  3: () => choose("side"),
  4: () => choose("top"),
  f: () => follow(people[people.indexOf(shows.follow) + 1] ?? null),
  t: () => toggle("trail"),
  c: () => toggle("rig"),
  k: () => toggle("two"),
  "?": () => $("about").showModal(),
};

function listenToKeys() {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || $("about").open) return;
    if (event.target.matches("select, input[type=number]")) return;
    if (event.key === " " && event.target.matches("button, input[type=file]")) return; // theirs
    const act = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!act) return;
    event.preventDefault();
    act(event);
  });
  // Whoever clicks a button with the mouse means the page by the keys that follow.
  document.addEventListener("click", (event) => {
    if (event.detail) event.target.closest("button")?.blur();
  });
}

function listenToButtons() {
  $("play").onclick = () => play();
  $("back").onclick = () => step(-1);
  $("on").onclick = () => step(1);
  $("slider").oninput = () => seek(Number($("slider").value));
  $("help").onclick = () => $("about").showModal();
  for (const id of ["trail", "rig", "two"]) $(id).onclick = () => toggle(id);
  for (const button of document.querySelectorAll("[data-view]")) {
    button.onclick = () => choose(button.dataset.view);
  }
  $("speed").onchange = () => setSpeed(Number($("speed").value));
  $("follow").onchange = () =>
    follow(people.find((one) => `${one.id}` === $("follow").value) ?? null);
  for (const id of ["speed", "follow"]) $(id).addEventListener("change", () => $(id).blur());
  addEventListener("hashchange", goToHash);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    readPalette();
    draw();
  });
  new ResizeObserver(() => (shows.preset ? preset(shows.preset) : draw())).observe($("stage"));
  new ResizeObserver(draw).observe($("frame"));
}

/** The user's own copy of the video under the 2D keypoints; it stays on their device. */
function listenToVideo() {
  $("file").onchange = () => {
    const [file] = $("file").files;
    if (!file) return;
    URL.revokeObjectURL(video.src);
    video.src = URL.createObjectURL(file);
    $("mismatch").textContent = "";
  };
  video.onloadedmetadata = () => {
    video.hidden = $("shift").hidden = false;
    const [w, h] = [video.videoWidth, video.videoHeight];
    if (w !== data.size[0] || h !== data.size[1]) {
      $("mismatch").textContent =
        `This video is ${w} × ${h}, the poses were made from ${data.size.join(" × ")}.`;
    }
    setSpeed(player.speed);
    play(player.playing);
  };
  video.onerror = () => {
    video.hidden = $("shift").hidden = true;
    $("mismatch").textContent = "This browser can't play that file.";
  };
  $("start").oninput = () => seek(player.time);
}

/** viewer.html#t=4.5 begins at 4.5 s. */
function goToHash() {
  const found = /^#t=(\d+(\.\d+)?)$/.exec(location.hash);
  if (found) seek(Number(found[1]));
}

/** Names come from files of strangers: they become text, never HTML. */
function say(parent, tag, text) {
  const element = document.createElement(tag);
  element.textContent = text;
  parent.append(element);
  return element;
}

function fillIn() {
  document.title = `${data.name} · video2pose3d`;
  if (data.several) $("whose").textContent = `as ${data.cameras[0].name} sees it`;
  $("frame").style.setProperty("--aspect", data.size[0] / data.size[1]);
  $("rig").setAttribute("aria-pressed", shows.rig);
  $("slider").max = times[last()];
  $("clock").style.minWidth = `${clockText(last()).length}ch`;
  for (const id of ["slider", "play", "back", "on"]) $(id).disabled = !last();
  for (const speed of SPEEDS) say($("speed"), "option", `${speed} ×`).value = speed;
  setSpeed(1);
  for (const [what, source] of Object.entries(data.sources)) {
    say($("sources"), "dt", what);
    say($("sources"), "dd", source);
  }
  for (const person of people) {
    say($("follow"), "option", `follow ${person.id}`).value = person.id;
    const button = say(say($("people"), "li", ""), "button", "");
    button.title = "Show or hide";
    button.setAttribute("aria-pressed", true);
    say(button, "i", "").style.setProperty("--colour", person.colour.join(" "));
    button.append(`person ${person.id}`);
    button.onclick = () => {
      person.shown = !person.shown;
      button.setAttribute("aria-pressed", person.shown);
      draw();
    };
  }
}

async function begin() {
  const clock = await unpack(data.times);
  if (data.times.rows) times = range(data.times.rows).map((row) => clock(row));
  for (const told of data.people) people.push(await Person.of(told, times.length));
  readPalette();
  fillIn();
  listenToStage();
  listenToKeys();
  listenToButtons();
  listenToVideo();
  preset("home");
  goToHash();
  $("note").textContent = people.length ? "" : "nobody was found in this clip";
}

begin().catch((error) => {
  $("note").textContent = `This browser can't show the page (${error.message}); a current one can.`;
  throw error;
});
