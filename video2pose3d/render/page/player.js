// Playing, by the clip's own times; the video, if there is one, is the clock.

const player = { time: 0, frame: 0, playing: false, speed: 1, before: 0, asked: 0 };
const video = $("video");
const last = () => times.length - 1;
const hasVideo = () => !video.hidden && video.readyState > 0;
const leads = () => hasVideo() && video.readyState > 1 && !video.paused && !video.ended;
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
  if (leads()) player.time = Math.max(0, video.currentTime - startOf());
  if (on && player.frame === last()) player.time = 0;
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
  player.time = leads() ? Math.max(0, video.currentTime - startOf()) : own;
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
