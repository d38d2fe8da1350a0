// People and cameras in 3D, with what they leave on the floor.

/** The way the pelvis came, planted feet, the shadow over both. */
function drawOnFloor(from, person, row) {
  if (shows.trail) drawTrail(from, person, row);
  for (const [i, side] of ["right", "left"].entries()) {
    if (!person.contact(row, i)) continue;
    const ankle = onFloor(person.named(row, `${side}_ankle`));
    stage.fillStyle = rgb(mix(look.sides[side], palette.floor, 0.45));
    polygon(stage, from, ring(ankle, 0.1 * person.scale));
  }
  drawShadow(from, person, row);
}

function drawLine(a, b, colour, width) {
  stage.strokeStyle = rgb(colour);
  stage.lineWidth = width;
  stage.beginPath();
  stage.moveTo(a.x, a.y);
  stage.lineTo(b.x, b.y);
  stage.stroke();
}

function drawTrail(from, person, row) {
  const now = times[person.frames(row)];
  const piece = Math.max(1, Math.round((data.fps * look.trail) / look.pieces));
  // Pieces begin at whole multiples, so that the trail stays put while time goes on.
  for (
    let stop = row, start = row - (row % piece || piece);
    start >= 0;
    stop = start, start -= piece
  ) {
    const age = (now - times[person.frames(start)]) / look.trail;
    if (age > 1) break;
    if (person.frames(stop) - person.frames(start) > 2 * piece) continue; // away: the way is unknown
    const [a, b] = [start, stop].map((r) => project(from, person.pelvis(r)));
    if (a.z < NEAR || b.z < NEAR) continue;
    const ink = mix(person.colour, palette.floor, 0.15 + 0.85 * age);
    drawLine(a, b, ink, Math.max(1.5, 0.03 * person.scale * b.px));
  }
}

function drawShadow(from, person, row) {
  const [s, c] = [Math.sin(view.azimuth), Math.cos(view.azimuth)];
  const [right, away] = look.light;
  const fall = [right * c - away * s, 0, -right * s - away * c]; // metres per metre of height
  const spots = person.bones(row).map(({ a, b, ra, rb }) => ({
    a: onFloor(add(a, fall, Math.max(a[1], 0))),
    b: onFloor(add(b, fall, Math.max(b[1], 0))),
    ra,
    rb,
  }));
  const path = new Path2D();
  for (const { a, b, ra, rb } of spots) {
    trace(
      path,
      from,
      outline(a[0], a[2], ra, b[0], b[2], rb).map(([x, z]) => [x, 0, z]),
    );
  }
  // Canvas blurs nothing but the shadow of a shape: so the shape lies outside the picture.
  stage.save();
  const dense = stage.getTransform().a;
  stage.shadowColor = rgb([0, 0, 0], look.shadow);
  stage.shadowBlur = Math.min(0.09 * person.scale * project(from, spots[0].a).px, 40) * dense;
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
    range(8).map((i) => [
      x + r * Math.cos(start + (sweep * i) / 7),
      y + r * Math.sin(start + (sweep * i) / 7),
    ]);
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
      if (Math.min(p.z, q.z) < 4 * NEAR) return;
      look.shades.forEach(([part], i) => {
        if (coarse && i % 3) return;
        const [a, b] = [
          [p, ra * p.px],
          [q, rb * q.px],
        ].map(([at, thick]) => {
          const shift = 0.85 * (1 - part) * thick;
          return [at.x + shift * lx, at.y + shift * ly, part * thick];
        });
        stage.fillStyle = inks[pale + side][i];
        capsule(stage, ...a, ...b);
      });
    };
    return { z: (p.z + q.z) / 2, draw };
  });
}

/** A camera as a small pyramid: its lens, and what it sees. */
function frustum(from, camera) {
  const sight = 0.3;
  const at = camera.position;
  if (Math.hypot(...add(at, from.position, -1)) < 4 * NEAR) return []; // we look through it
  const corners = [
    [0, 0],
    [1, 0],
    [1, 1],
    [0, 1],
  ].map((corner) => {
    const [x, y] = corner.map(
      (c, i) => ((c * camera.size[i] - camera.centre[i]) / camera.focal[i]) * sight,
    );
    return add(add(add(at, camera.axes[0], x), camera.axes[1], y), camera.axes[2], sight);
  });
  const edges = corners.flatMap((corner, i) => [
    [at, corner],
    [corner, corners[(i + 1) % 4]],
  ]);
  const lines = edges.map((edge) => {
    const [p, q] = edge.map((point) => project(from, point));
    const draw = () => Math.min(p.z, q.z) > NEAR && drawLine(p, q, palette.text, 1.5);
    return { z: (p.z + q.z) / 2, draw };
  });
  const p = project(from, at);
  const top = Math.min(p.y, ...corners.map((corner) => project(from, corner).y));
  const name = () => {
    if (p.z < NEAR) return;
    stage.font = "12px system-ui, sans-serif";
    stage.fillStyle = rgb(palette.text);
    stage.textAlign = "center";
    stage.textBaseline = "alphabetic";
    stage.fillText(camera.name, p.x, top - 5);
  };
  return [...lines, { z: p.z, draw: name }];
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
  if (p.z > NEAR)
    pill(stage, labelOf(person, row), person.colour, p.x, p.y, clamp(from.height / 30, 16, 26));
}

function drawStage(frame) {
  const { width, height } = prepare(stage);
  if (!width || !height) return;
  const from = eye(width, height, frame);
  drawBackdrop(from);
  const here = people.filter((person) => person.shown && person.rowAt[frame] >= 0);
  for (const person of here) drawOnFloor(from, person, person.rowAt[frame]);

  // From far to near, as a painter does.
  const things = here.flatMap((person) =>
    limbs(from, person, person.rowAt[frame], here.length > 5),
  );
  if (shows.rig) things.push(...data.cameras.flatMap((camera) => frustum(from, camera)));
  things.sort((a, b) => b.z - a.z).forEach((thing) => thing.draw());

  for (const person of here) drawLabel(from, person, person.rowAt[frame]);
  if (shows.preset === "camera") {
    const { lens } = view;
    const [x, y] = from.middle.map((m, i) => m - lens.centre[i] * from.scale);
    stage.strokeStyle = rgb(palette.lines);
    stage.lineWidth = 1;
    stage.strokeRect(
      x + 0.5,
      y + 0.5,
      lens.size[0] * from.scale - 1,
      lens.size[1] * from.scale - 1,
    );
  }
}
