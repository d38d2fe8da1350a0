// The stage: its colours, the floor, which stands still, and the shapes that lie on it.

const stage = $("world").getContext("2d");
const palette = {};
const inks = {};

function readPalette() {
  const style = getComputedStyle(document.documentElement);
  for (const key of ["paper", "floor", "lines", "text"]) {
    palette[key] = style.getPropertyValue(`--${key}`).trim().split(/\s+/).map(Number);
  }
  for (const [side, colour] of Object.entries(look.sides)) {
    for (const [name, base] of [
      [side, colour],
      [`pale ${side}`, mix(colour, palette.floor, look.pale)],
    ]) {
      inks[name] = look.shades.map(([, tint]) =>
        rgb(mix(base, tint < 0 ? [0, 0, 0] : [255, 255, 255], Math.abs(tint))),
      );
    }
  }
}

/** A canvas as large as it is shown, in CSS pixels. */
function prepare(ctx) {
  const { width, height } = size(ctx.canvas);
  const dense = Math.min(devicePixelRatio || 1, 2);
  const [w, h] = [Math.round(width * dense), Math.round(height * dense)];
  if (ctx.canvas.width !== w || ctx.canvas.height !== h)
    [ctx.canvas.width, ctx.canvas.height] = [w, h];
  ctx.setTransform(dense, 0, 0, dense, 0, 0);
  ctx.clearRect(0, 0, width, height);
  ctx.lineCap = ctx.lineJoin = "round";
  return { width, height };
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
  const nearness = (p) =>
    Math.exp(-(((p[0] - centre[0]) ** 2 + (p[2] - centre[2]) ** 2) / bright ** 2));
  for (let i = 28; i > 0; i--) {
    const radius = (edge * i) / 28;
    ctx.fillStyle = rgb(mix(palette.paper, palette.floor, nearness(add(centre, [radius, 0, 0]))));
    polygon(ctx, from, ring(centre, radius));
  }

  const step = gridStep(0.8 * view.distance);
  $("grid").textContent = `grid ${Number(step.toPrecision(3))} m`;
  const paths = range(11).map(() => new Path2D());
  for (const [along, across] of [
    [0, 2],
    [2, 0],
  ]) {
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
        const ends = clip(
          [at(i), at(i + 1)].map((p) => seenFrom(from, p)),
          false,
        );
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
  clip(
    corners.map((p) => seenFrom(from, p)),
    true,
  ).forEach((p, i) => {
    const [x, y] = onPicture(from, p);
    if (i) path.lineTo(x, y);
    else path.moveTo(x, y);
  });
  path.closePath();
}

/** A circle on the floor, as points. */
function ring(centre, radius) {
  const angles = range(48).map((i) => (i * Math.PI) / 24);
  return angles.map((angle) => add(centre, [Math.cos(angle), 0, Math.sin(angle)], radius));
}

function polygon(ctx, from, corners) {
  const path = new Path2D();
  trace(path, from, corners);
  ctx.fill(path);
}
