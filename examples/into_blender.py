"""A BVH into Blender, upright and in place: every person of a result becomes an armature.

blender --python into_blender.py -- out/walk
python into_blender.py out/walk            (with Blender as a module: pip install bpy)
"""

import sys
from pathlib import Path

import bpy

arguments = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else sys.argv[1:]
folder = Path(arguments[0])

for bvh in sorted(folder.glob("person-*.bvh")):
    # The importer's defaults (Y up) fit the file. It is in centimetres: 0.01 makes them metres.
    bpy.ops.import_anim.bvh(
        filepath=str(bvh), global_scale=0.01, update_scene_fps=True, update_scene_duration=True
    )
    rig = bpy.context.object
    print(
        bvh.name,
        "→",
        rig.name,
        len(rig.pose.bones),
        "bones",
        tuple(rig.animation_data.action.frame_range),
    )

if bpy.app.background:
    bpy.ops.wm.save_as_mainfile(filepath=str((folder / "scene.blend").resolve()))
