"""The actions of placing landmarks: their names, words and first keys."""

from __future__ import annotations

from .landmark_keys import KeyAction

VOXEL, TENTH = 1.0, 0.1
DIRECTIONS: dict[str, tuple[int, int]] = {
    # which of the displayed axes (-1 across, -2 down, 0 the hidden one), and which way
    "left": (-1, -1),
    "right": (-1, 1),
    "up": (-2, -1),
    "down": (-2, 1),
    "shallower": (0, -1),
    "deeper": (0, 1),
}
_NUDGE_KEYS = {
    "left": "Left",
    "right": "Right",
    "up": "Up",
    "down": "Down",
    "shallower": "U",
    "deeper": "D",
}

ACTIONS: tuple[KeyAction, ...] = (
    KeyAction("place", "Place at the cursor", "A point where the mouse is", ("Space",)),
    KeyAction(
        "confirm",
        "Confirm",
        "Put the partner where it is expected (the white cross)",
        ("Enter",),
        everywhere=True,
    ),
    KeyAction(
        "skip", "Leave half", "Wait no longer for the partner: the pair stays half", ("Escape",)
    ),
    KeyAction(
        "other_view",
        "Other view",
        "The keyboard goes to the other image: to its view where there are two, else it is shown. "
        "A cross marks where Place would put a point until the mouse moves",
        ("Tab",),
        everywhere=True,
    ),
    KeyAction(
        "move",
        "Move points",
        "Drag points with the mouse, or draw a box round several; again: back to placing",
        ("M",),
        everywhere=True,
    ),
    KeyAction("next", "Next pair", "Both images go to the next landmark", ("N",), everywhere=True),
    KeyAction("previous", "Previous pair", "Go to the landmark before", ("P",), everywhere=True),
    KeyAction(
        "enable",
        "Use or leave out",
        "Use the current landmark in the fit, or leave it out",
        ("E",),
        everywhere=True,
    ),
    KeyAction(
        "snap",
        "Snap",
        "Move the current point to the branching, the centre line or the spot next to it in the "
        "topmost channel shown, between the voxels. Where nothing stands out, the pair is refined: "
        "its moving point goes to where both images agree best",
        ("S",),
        everywhere=True,
    ),
    KeyAction("delete", "Delete pair", "Remove both points of the current landmark", ("Delete",)),
    KeyAction(
        "delete_point",
        "Delete point",
        "Remove the point in the image shown; its partner stays, as a half pair",
        ("Shift+Delete",),
    ),
    *(
        KeyAction(
            f"nudge_{way}{'' if share == VOXEL else '_tenth'}",
            f"Move {way}{'' if share == VOXEL else ' a tenth'}",
            f"Move the current point {way} by {'a' if share == VOXEL else 'a tenth of a'} voxel",
            (_NUDGE_KEYS[way] if share == VOXEL else f"Shift+{_NUDGE_KEYS[way]}",),
            repeats=True,
        )
        for way in DIRECTIONS
        for share in (VOXEL, TENTH)
    ),
)
