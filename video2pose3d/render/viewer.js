// What viewer.html runs: unpack the data, look from somewhere, draw, play. No library, no request.
// Points are [x, y, z] metres in WORLD: y up, floor at 0, +z towards the camera that filmed.

const $ = (id) => document.getElementById(id);
const data = JSON.parse($("data").textContent);
const look = data.look;

const clamp = (x, low, high) => Math.min(Math.max(x, low), high);
const add = (a, b, k = 1) => [a[0] + k * b[0], a[1] + k * b[1], a[2] + k * b[2]];
const scaled = (a, k) => a.map((x) => x * k);
const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const onFloor = (p) => [p[0], 0, p[2]];
const mix = (a, b, part) => a.map((x, i) => Math.round(x + (b[i] - x) * part));
const rgb = (colour, alpha = 1) => `rgb(${colour.join(" ")} / ${alpha})`;
const range = (n) => Array.from({ length: n }, (_, i) => i);

// The data: what viewer.py packed, and people made of it.

async function unpack({ step, rows, packed }) {
  const text = atob(packed);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = text.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  const whole = new Int32Array(await new Response(stream).arrayBuffer());
  for (let i = 1; i < whole.length; i++) if (i % rows) whole[i] += whole[i - 1];
  return (row, column = 0) => {
    const steps = whole[column * rows + row];
    return steps === -(2 ** 31) ? NaN : steps * step;
  };
}

class Person {
  static async of(told, frames) {
    const person = Object.assign(new Person(), told, { shown: true, rows: told.frames.rows });
    for (const key of ["frames", "seen", "contact", "joints", "keypoints", "scores"]) {
      person[key] = await unpack(told[key]);
    }
    // For each frame of the video: the row with it, or none; and the last row before it.
    person.rowAt = new Int32Array(frames).fill(-1);
    person.lastAt = new Int32Array(frames);
    for (let row = 0; row < person.rows; row++) person.rowAt[person.frames(row)] = row;
    for (let frame = 1; frame < frames; frame++) {
      person.lastAt[frame] = Math.max(person.rowAt[frame], person.lastAt[frame - 1]);
    }
    return person;
  }

  joint(row, j) {
    return [this.joints(row, 3 * j), this.joints(row, 3 * j + 1), this.joints(row, 3 * j + 2)];
  }

  named(row, name) {
    return this.joint(row, this.body.places[name]);
  }

  pelvis(row) {
    return onFloor(this.named(row, "pelvis"));
  }

  bones(row) {
    const { neck, head } = this.body.places;
    return this.body.bones.map(([start, stop], i) => {
      let [a, b] = [this.joint(row, start), this.joint(row, stop)];
      if (start === neck && stop === head) {
        const bone = add(b, a, -1);
        [a, b] = look.head.map((part) => add(a, bone, part));
      }
      return { a, b, ra: this.radii[i][0], rb: this.radii[i][1], side: this.body.sides[stop] };
    });
  }
}

// Where we look from: round a target, through the lens of a picture that is fitted into the stage.

const stage = $("world").getContext("2d");
const flat = $("flat").getContext("2d");
const LENS = { focal: [1, 1].map(() => 0.5 / Math.tan(Math.PI / 12)), size: [0, 1], centre: [0, 0.5] };
const view = { azimuth: 0, elevation: 0, roll: 0, target: [0, 0, 0], distance: 1, lens: LENS };
const shows = { trail: true, rig: data.several, preset: "home", camera: 0, follow: null };
let people = [];
let times = [0];

/** Right, down and forward of somebody at these angles: azimuth 0 looks along -z. */
function axesOf(azimuth, elevation, roll) {
  const [s, c] = [Math.sin(azimuth), Math.cos(azimuth)];
  const [up, level] = [Math.sin(elevation), Math.cos(elevation)];
  const [right, down] = [[c, 0, -s], [s * up, -level, c * up]];
  return [
    add(scaled(right, Math.cos(roll)), down, Math.sin(roll)),
    add(scaled(down, Math.cos(roll)), right, -Math.sin(roll)),
    [-level * s, -up, -level * c],
  ];
}

function anglesOf([right, down, forward]) {
  // Who looks straight up or down has the way that the picture's top or bottom points.
  const steep = Math.hypot(forward[0], forward[2]) < 0.05;
  const ahead = steep ? scaled(down, Math.sign(forward[1])) : forward;
  const azimuth = Math.atan2(-ahead[0], -ahead[2]);
  const elevation = Math.asin(clamp(-forward[1], -1, 1));
  const [r, d] = axesOf(azimuth, elevation, 0);
  return { azimuth, elevation, roll: Math.atan2(dot(right, d), dot(right, r)) };
}

function followed(frame) {
  const person = shows.follow;
  return person?.rows ? person.pelvis(person.lastAt[frame]) : [0, 0, 0];
}

function eye(width, height, frame) {
  const { lens } = view;
  const scale = Math.min(width / lens.size[0], height / lens.size[1]);
  const axes = axesOf(view.azimuth, view.elevation, view.roll);
  const target = add(view.target, followed(frame));
  return {
    axes, target, scale, width, height,
    position: add(target, axes[2], -view.distance),
    focal: scaled(lens.focal, scale),
    middle: [width, height].map((x, i) => x / 2 + (lens.centre[i] - lens.size[i] / 2) * scale),
  };
}

const NEAR = 0.02;

/** A point of WORLD as the eye has it: metres to the right, down and ahead. */
function seenFrom(from, point) {
  const away = add(point, from.position, -1);
  return from.axes.map((axis) => dot(axis, away));
}

function onPicture(from, [x, y, z]) {
  const [fx, fy] = from.focal;
  return [from.middle[0] + (x * fx) / z, from.middle[1] + (y * fy) / z];
}

/** Pixels of a point, its metres ahead, and how many pixels a metre has there. */
function project(from, point) {
  const [right, down, z] = seenFrom(from, point);
  const near = Math.max(z, NEAR);
  const [x, y] = onPicture(from, [right, down, near]);
  return { x, y, z, px: from.focal[1] / near };
}

/** What is to be seen: joints and the floor below them, or of a followed person round themselves. */
function* cloud() {
  const wanted = shows.follow ? [shows.follow] : people.filter((person) => person.shown);
  let empty = true;
  for (const person of wanted) {
    const step = Math.ceil(person.rows / 4000);
    for (let row = 0; row < person.rows; row += step) {
      const pelvis = person.pelvis(row);
      const origin = shows.follow ? pelvis : [0, 0, 0];
      yield add(pelvis, origin, -1);
      for (let j = 0; j < person.body.sides.length; j++) yield add(person.joint(row, j), origin, -1);
      empty = false;
    }
  }
  if (empty) for (const x of [-1.5, 1.5]) for (const y of [0, 1.8]) for (const z of [-1.5, 1.5]) yield [x, y, z];
}

const size = (element) => element.getBoundingClientRect();

/** Come as near as the whole cloud allows, as render/_view.py does. */
function fit(azimuth, elevation) {
  const { width, height } = size($("stage"));
  const axes = axesOf(azimuth, elevation, 0);
  const focal = LENS.focal[1] * height;
  const [tx, ty] = [(width / 2 / focal) * 0.94, (height / 2 / focal) * 0.8];
  const room = 0.2 * Math.max(1, ...people.map((person) => person.scale));
  const reach = [-Infinity, -Infinity, -Infinity, -Infinity];
  let [near, far] = [Infinity, -Infinity];
  const take = (point) => {
    const [x, y, z] = [dot(axes[0], point), dot(axes[1], point), dot(axes[2], point)];
    reach[0] = Math.max(reach[0], x - tx * z);
    reach[1] = Math.max(reach[1], -x - tx * z);
    reach[2] = Math.max(reach[2], y - ty * z);
    reach[3] = Math.max(reach[3], -y - ty * z);
    near = Math.min(near, z);
    far = Math.max(far, z);
  };
  if (elevation > 1.5 && shows.rig) data.cameras.forEach((camera) => take(camera.position));
  for (const point of cloud()) take(point);
  const [right, left, below, above] = reach.map((x, i) => x + room * Math.hypot(1, i < 2 ? tx : ty));
  const z = Math.min(-(right + left) / (2 * tx), -(below + above) / (2 * ty));
  const middle = [(right - left) / 2, (below - above) / 2, (near + far) / 2];
  const target = middle.reduce((sum, x, i) => add(sum, axes[i], x), [0, 0, 0]);
  Object.assign(view, { azimuth, elevation, roll: 0, target, distance: middle[2] - z, lens: LENS });
}

function preset(name) {
  const home = anglesOf(data.axes);
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
  if (name === "camera" && shows.preset === name) shows.camera = (shows.camera + 1) % data.cameras.length;
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

// Drawing.

let palette = {};
let inks = {};

function readPalette() {
  const style = getComputedStyle(document.documentElement);
  for (const key of ["paper", "floor", "lines", "text"]) {
    palette[key] = style.getPropertyValue(`--${key}`).trim().split(/\s+/).map(Number);
  }
  for (const [side, colour] of Object.entries(look.sides)) {
    for (const [name, base] of [[side, colour], [`pale ${side}`, mix(colour, palette.floor, look.pale)]]) {
      inks[name] = look.shades.map(([, tint]) => rgb(mix(base, tint < 0 ? [0, 0, 0] : [255, 255, 255], Math.abs(tint))));
    }
  }
}

/** A canvas as large as it is shown, in CSS pixels. */
function prepare(ctx) {
  const { width, height } = size(ctx.canvas);
  const dense = Math.min(devicePixelRatio || 1, 2);
  const [w, h] = [Math.round(width * dense), Math.round(height * dense)];
  if (ctx.canvas.width !== w || ctx.canvas.height !== h) [ctx.canvas.width, ctx.canvas.height] = [w, h];
  ctx.setTransform(dense, 0, 0, dense, 0, 0);
  ctx.clearRect(0, 0, width, height);
  ctx.lineCap = ctx.lineJoin = "round";
  return { width, height };
}

function drawStage(frame) {
  const { width, height } = prepare(stage);
  if (!width || !height) return;
  const from = eye(width, height, frame);
  drawBackdrop(from);
  const here = people.filter((person) => person.shown && person.rowAt[frame] >= 0);
  for (const person of here) drawOnFloor(from, person, person.rowAt[frame]);

  // From far to near, as a painter does.
  const things = here.flatMap((person) => limbs(from, person, person.rowAt[frame], here.length > 5));
  if (shows.rig) things.push(...data.cameras.flatMap((camera) => frustum(from, camera)));
  things.sort((a, b) => b.z - a.z).forEach((thing) => thing.draw());

  for (const person of here) drawLabel(from, person, person.rowAt[frame]);
  if (shows.preset === "camera") {
    const { lens } = view;
    const [x, y] = from.middle.map((m, i) => m - lens.centre[i] * from.scale);
    stage.strokeStyle = rgb(palette.lines);
    stage.lineWidth = 1;
    stage.strokeRect(x + 0.5, y + 0.5, lens.size[0] * from.scale - 1, lens.size[1] * from.scale - 1);
  }
}

function gridStep(distance) {
  const wanted = Math.max(distance, 1e-6) / 10;
  const decade = 10 ** Math.floor(Math.log10(wanted));
  return [1, 2, 5, 10].map((k) => k * decade).find((step) => step >= 0.999 * wanted);
}

const backdrop = document.createElement("canvas").getContext("2d");
let backdropOf = "";

/** What stands still: painted once for each place that we look from. */
function drawBackdrop(from) {
  const { width, height } = stage.canvas;
  const now = JSON.stringify([from, width, height, palette]);
  if (now !== backdropOf) {
    backdropOf = now;
    [backdrop.canvas.width, backdrop.canvas.height] = [width, height];
    backdrop.setTransform(stage.getTransform());
    backdrop.fillStyle = rgb(palette.paper);
    backdrop.fillRect(0, 0, from.width, from.height);
    drawFloor(backdrop, from);
  }
  stage.drawImage(backdrop.canvas, 0, 0, from.width, from.height);
}

/** A floor that is bright below what we look at and is lost in the paper far away. */
function drawFloor(ctx, from) {
  const centre = onFloor(from.target);
  const bright = 0.9 * view.distance;
  const edge = 2.2 * bright;
  const nearness = (p) => Math.exp(-(((p[0] - centre[0]) ** 2 + (p[2] - centre[2]) ** 2) / bright ** 2));
  const circle = range(48).map((i) => [Math.cos((i * Math.PI) / 24), 0, Math.sin((i * Math.PI) / 24)]);
  for (let i = 28; i > 0; i--) {
    const radius = (edge * i) / 28;
    ctx.fillStyle = rgb(mix(palette.paper, palette.floor, nearness(add(centre, [radius, 0, 0]))));
    polygon(ctx, from, circle.map((p) => add(centre, p, radius)));
  }

  const step = gridStep(0.8 * view.distance);
  $("grid").textContent = `grid ${Number(step.toPrecision(3))} m`;
  const paths = range(11).map(() => new Path2D());
  for (const [along, across] of [[0, 2], [2, 0]]) {
    const first = Math.ceil((centre[across] - edge) / step);
    for (let k = first; k * step < centre[across] + edge; k++) {
      const at = (i) => {
        const p = [0, 0, 0];
        p[across] = k * step;
        p[along] = centre[along] - edge + (2 * edge * i) / 24;
        return p;
      };
      for (let i = 0; i < 24; i++) {
        const level = Math.round(10 * nearness(at(i + 0.5)));
        const ends = clip([at(i), at(i + 1)].map((p) => seenFrom(from, p)), false);
        if (!level || ends.length < 2) continue;
        const [a, b] = ends.map((p) => onPicture(from, p));
        paths[level].moveTo(a[0], a[1]);
        paths[level].lineTo(b[0], b[1]);
      }
    }
  }
  ctx.lineWidth = 1;
  paths.forEach((path, level) => {
    ctx.strokeStyle = rgb(palette.lines, level / 10);
    ctx.stroke(path);
  });
}

/** The part of a line, or of a closed polygon, that lies before the eye. */
function clip(points, closed) {
  const kept = [];
  points.forEach((p, i) => {
    if (p[2] >= NEAR) kept.push(p);
    const q = points[(i + 1) % points.length];
    if ((closed || i + 1 < points.length) && p[2] >= NEAR !== q[2] >= NEAR) {
      kept.push(add(p, add(q, p, -1), (NEAR - p[2]) / (q[2] - p[2])));
    }
  });
  return kept;
}

function trace(path, from, corners) {
  clip(corners.map((p) => seenFrom(from, p)), true).forEach((p, i) => {
    const [x, y] = onPicture(from, p);
    if (i) path.lineTo(x, y);
    else path.moveTo(x, y);
  });
  path.closePath();
}

function polygon(ctx, from, corners) {
  const path = new Path2D();
  trace(path, from, corners);
  ctx.fill(path);
}

/** The way the pelvis came, planted feet, the shadow over both. */
function drawOnFloor(from, person, row) {
  if (shows.trail) drawTrail(from, person, row);
  for (const [i, side] of ["right", "left"].entries()) {
    if (!person.contact(row, i)) continue;
    const ankle = onFloor(person.named(row, `${side}_ankle`));
    stage.fillStyle = rgb(mix(look.sides[side], palette.floor, 0.45));
    polygon(stage, from, range(24).map((k) => add(ankle, [Math.cos((k * Math.PI) / 12), 0, Math.sin((k * Math.PI) / 12)], 0.1 * person.scale)));
  }
  drawShadow(from, person, row);
}

function drawTrail(from, person, row) {
  const now = times[person.frames(row)];
  const piece = Math.max(1, Math.round((data.fps * look.trail) / look.pieces));
  // Pieces begin at whole multiples, so that the trail stays put while time goes on.
  for (let stop = row, start = row - (row % piece || piece); start >= 0; stop = start, start -= piece) {
    const age = (now - times[person.frames(start)]) / look.trail;
    if (age > 1) break;
    if (person.frames(stop) - person.frames(start) > 2 * piece) continue; // away: the way is unknown
    const [a, b] = [start, stop].map((r) => project(from, person.pelvis(r)));
    if (a.z < NEAR || b.z < NEAR) continue;
    stage.strokeStyle = rgb(mix(person.colour, palette.floor, 0.15 + 0.85 * age));
    stage.lineWidth = Math.max(1.5, 0.03 * person.scale * b.px);
    stage.beginPath();
    stage.moveTo(a.x, a.y);
    stage.lineTo(b.x, b.y);
    stage.stroke();
  }
}

function drawShadow(from, person, row) {
  const [s, c] = [Math.sin(view.azimuth), Math.cos(view.azimuth)];
  const [right, away] = look.light;
  const fall = [right * c - away * s, 0, -right * s - away * c]; // metres per metre of height
  const spots = person.bones(row).map(({ a, b, ra, rb }) => ({
    a: onFloor(add(a, fall, Math.max(a[1], 0))), b: onFloor(add(b, fall, Math.max(b[1], 0))), ra, rb,
  }));
  const path = new Path2D();
  for (const { a, b, ra, rb } of spots) {
    trace(path, from, outline(a[0], a[2], ra, b[0], b[2], rb).map(([x, z]) => [x, 0, z]));
  }
  // Canvas blurs nothing but the shadow of a shape: so the shape lies outside the picture.
  stage.save();
  const dense = stage.getTransform().a;
  stage.shadowColor = rgb([0, 0, 0], look.shadow);
  stage.shadowBlur = 0.09 * person.scale * project(from, spots[0].a).px * dense;
  stage.shadowOffsetX = 2 * from.width * dense;
  stage.translate(-2 * from.width, 0);
  stage.fill(path);
  stage.restore();
}

/** Where a tangent touches two circles, as angles from the line between them. */
function tangent(ax, ay, ra, bx, by, rb) {
  const length = Math.max(Math.hypot(bx - ax, by - ay), 1e-9);
  return [Math.atan2(by - ay, bx - ax), Math.acos(clamp((ra - rb) / length, -1, 1))];
}

/** The outline round two circles, as points. */
function outline(ax, ay, ra, bx, by, rb) {
  const [heading, touch] = tangent(ax, ay, ra, bx, by, rb);
  const arc = (x, y, r, start, sweep) =>
    range(8).map((i) => [x + r * Math.cos(start + (sweep * i) / 7), y + r * Math.sin(start + (sweep * i) / 7)]);
  return [
    ...arc(ax, ay, ra, heading + touch, 2 * Math.PI - 2 * touch),
    ...arc(bx, by, rb, heading - touch, 2 * touch),
  ];
}

function capsule(ctx, ax, ay, ra, bx, by, rb) {
  const [heading, touch] = tangent(ax, ay, ra, bx, by, rb);
  ctx.beginPath();
  ctx.arc(ax, ay, ra, heading + touch, heading - touch + 2 * Math.PI);
  ctx.arc(bx, by, rb, heading - touch, heading + touch);
  ctx.fill();
}

/** A person's bones as round limbs: ever slimmer shapes, ever nearer to the light. */
function limbs(from, person, row, coarse) {
  const pale = person.seen(row) ? "" : "pale ";
  const [lx, ly] = look.toLight;
  return person.bones(row).map(({ a, b, ra, rb, side }) => {
    const [p, q] = [project(from, a), project(from, b)];
    const draw = () => {
      look.shades.forEach(([part], i) => {
        if (coarse && i % 3) return;
        const [tp, tq] = [ra * p.px, rb * q.px];
        const [sp, sq] = [tp, tq].map((t) => 0.85 * (1 - part) * t);
        stage.fillStyle = inks[pale + side][i];
        capsule(stage, p.x + sp * lx, p.y + sp * ly, part * tp, q.x + sq * lx, q.y + sq * ly, part * tq);
      });
    };
    return { z: (p.z + q.z) / 2, draw: Math.min(p.z, q.z) > 4 * NEAR ? draw : () => {} };
  });
}

/** A camera as a small pyramid: its lens, and what it sees. */
function frustum(from, camera) {
  const sight = 0.3;
  const at = camera.position;
  if (Math.hypot(...add(at, from.position, -1)) < 4 * NEAR) return []; // we look through it
  const corners = [[0, 0], [1, 0], [1, 1], [0, 1]].map((corner) => {
    const [x, y] = corner.map((c, i) => ((c * camera.size[i] - camera.centre[i]) / camera.focal[i]) * sight);
    return add(add(add(at, camera.axes[0], x), camera.axes[1], y), camera.axes[2], sight);
  });
  const edges = corners.flatMap((corner, i) => [[at, corner], [corner, corners[(i + 1) % 4]]]);
  const lines = edges.map((edge) => {
    const [p, q] = edge.map((point) => project(from, point));
    const draw = () => {
      stage.strokeStyle = rgb(palette.text);
      stage.lineWidth = 1.5;
      stage.beginPath();
      stage.moveTo(p.x, p.y);
      stage.lineTo(q.x, q.y);
      stage.stroke();
    };
    return { z: (p.z + q.z) / 2, draw: Math.min(p.z, q.z) > NEAR ? draw : () => {} };
  });
  const p = project(from, at);
  const top = Math.min(p.y, ...corners.map((corner) => project(from, corner).y));
  const name = () => {
    stage.font = "12px system-ui, sans-serif";
    stage.fillStyle = rgb(palette.text);
    stage.textAlign = "center";
    stage.textBaseline = "alphabetic";
    stage.fillText(camera.name, p.x, top - 5);
  };
  return [...lines, { z: p.z, draw: p.z > NEAR ? name : () => {} }];
}

/** An id on a rounded plate that stands on x, y. */
function pill(ctx, text, colour, x, y, height) {
  ctx.font = `600 ${0.68 * height}px system-ui, sans-serif`;
  ctx.textAlign = "center";
  ctx.textBaseline = "middle";
  const [half, r] = [Math.max(ctx.measureText(text).width / 2 - 0.1 * height, 0.01), height / 2];
  ctx.fillStyle = rgb(colour, 0.92);
  capsule(ctx, x - half, y - r, r, x + half, y - r, r);
  const light = dot(colour, [0.3, 0.59, 0.11]) > 110;
  ctx.fillStyle = light ? rgb(look.ink) : "white";
  ctx.fillText(text, x, y - r + 0.05 * height);
}

const labelOf = (person, row) => (person.seen(row) ? `${person.id}` : `${person.id} bridged`);

function drawLabel(from, person, row) {
  const joints = range(person.body.sides.length).map((j) => person.joint(row, j));
  const top = joints.reduce((best, p) => (p[1] > best[1] ? p : best));
  const p = project(from, add(top, [0, 0.17 * person.scale, 0]));
  if (p.z > NEAR) pill(stage, labelOf(person, row), person.colour, p.x, p.y, clamp(from.height / 30, 16, 26));
}

/** The 2D keypoints on the camera's picture, or on its video, as the overlay draws them. */
function drawFlat(frame) {
  const { width, height } = prepare(flat);
  if (!width) return;
  const scale = width / data.size[0];
  const ahead = data.cameras[0].axes[2];
  const here = people.filter((person) => person.shown && person.rowAt[frame] >= 0);
  const depth = (person) => dot(ahead, person.named(person.rowAt[frame], "pelvis"));
  for (const person of here.sort((a, b) => depth(b) - depth(a))) {
    drawKeypoints(person, person.rowAt[frame], scale, Math.sqrt(width * height));
  }
}

function drawKeypoints(person, row, scale, picture) {
  const { limbs: chains, sides } = person.flat;
  const points = sides.map((_, j) => [0, 1].map((i) => person.keypoints(row, 2 * j + i) * scale));
  const sure = points.map((p, j) => person.scores(row, j) >= 0.3 && p.every(Number.isFinite));
  const seen = points.filter((_, j) => sure[j]);
  if (!seen.length) return;
  const [low, high] = [Math.min, Math.max].map((f) => [0, 1].map((i) => f(...seen.map((p) => p[i]))));
  const extent = Math.max(high[0] - low[0], high[1] - low[1]);
  const whole = person.seen(row);
  const line = Math.max(1.5, clamp(0.013 * extent, 0.0018 * picture, 0.006 * picture)) * (whole ? 1 : 0.6);
  flat.setLineDash(whole ? [] : [3 * line, 3 * line]);
  for (const chain of chains) {
    const path = new Path2D();
    for (let i = 1; i < chain.length; i++) {
      const [a, b] = [chain[i - 1], chain[i]];
      if (!sure[a] || !sure[b]) continue;
      path.moveTo(...points[a]);
      path.lineTo(...points[b]);
    }
    const side = look.sides[sides[chain[chain.length - 1]]];
    for (const [ink, thick] of [[look.ink, 1.9 * line], [side, line]]) {
      flat.strokeStyle = rgb(ink);
      flat.lineWidth = thick;
      flat.stroke(path);
    }
  }
  flat.setLineDash([]);
  const x = clamp(low[0], 12, size(flat.canvas).width - 12);
  pill(flat, labelOf(person, row), person.colour, x, Math.max(low[1] - 2 * line, 15), 15);
}

// Playing, by the clip's own times; the video, if there is one, is the clock.

const player = { time: 0, frame: 0, playing: false, speed: 1, before: 0, asked: 0 };
const video = $("video");
const last = () => times.length - 1;
const hasVideo = () => !video.hidden && video.readyState > 0;
const startOf = () => Number($("start").value) || 0;

/** The last frame that has begun at this time. */
function frameAt(time) {
  let [low, high] = [0, times.length];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (times[middle] <= time) low = middle;
    else high = middle;
  }
  return low;
}

function seek(time) {
  player.time = clamp(time, 0, times[last()]);
  if (hasVideo()) {
    // Into the middle of the frame, whichever way the browser rounds.
    const frame = frameAt(player.time);
    const next = times[frame + 1] ?? times[frame] + 1 / data.fps;
    const inside = player.playing ? player.time : (times[frame] + next) / 2;
    video.currentTime = startOf() + inside;
  }
  draw();
}

function step(frames) {
  play(false);
  seek(times[clamp(player.frame + frames, 0, last())]);
}

function play(on = !player.playing) {
  player.playing = on && last() > 0;
  document.body.classList.toggle("playing", player.playing);
  $("play").setAttribute("aria-label", player.playing ? "Pause" : "Play");
  if (hasVideo()) {
    if (player.playing) video.play().catch(() => {});
    else video.pause();
  }
  if (player.playing) player.before = performance.now();
  seek(player.time);
}

function setSpeed(speed) {
  player.speed = speed;
  $("speed").value = speed;
  video.playbackRate = speed;
}

function advance(now) {
  const own = player.time + ((now - player.before) / 1000) * player.speed;
  player.before = now;
  const follows = hasVideo() && !video.paused && !video.ended;
  player.time = Math.max(0, follows ? video.currentTime - startOf() : own);
  if (player.time >= times[last()] + 1 / data.fps) {
    seek(0);
    if (hasVideo()) video.play().catch(() => {});
  }
}

const clockText = (frame) => `${times[frame].toFixed(2)} s · frame ${frame} / ${last()}`;

/** Ask for a picture; however often, one is drawn when the screen is ready. */
function draw() {
  player.asked ||= requestAnimationFrame(paint);
}

function paint(now) {
  player.asked = 0;
  if (player.playing) advance(now);
  player.frame = frameAt(player.time);
  drawStage(player.frame);
  if (!$("picture").hidden) drawFlat(player.frame);
  $("clock").textContent = clockText(player.frame);
  $("slider").value = player.time;
  $("slider").setAttribute("aria-valuetext", clockText(player.frame));
  if (player.playing) draw();
}

// Hands: mouse, touch, keys, buttons.

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
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    const lines = event.deltaMode ? 30 : 1;
    zoom(Math.exp(clamp(event.deltaY * lines, -300, 300) * 0.0012));
  }, { passive: false });
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
    if (event.key === " " && event.target.matches("button")) return; // that button's
    const act = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!act) return;
    event.preventDefault();
    act(event);
  });
  // Whoever clicks a button with the mouse means the page by the keys that follow.
  document.addEventListener("click", (event) => {
    if (event.detail) event.target.closest("button, select")?.blur();
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
  $("follow").onchange = () => follow(people.find((one) => `${one.id}` === $("follow").value) ?? null);
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
      $("mismatch").textContent = `This video is ${w} × ${h}, the poses were made from ${data.size.join(" × ")}.`;
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
  times = range(data.times.rows).map((row) => clock(row));
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
