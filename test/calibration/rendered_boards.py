# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Views of a calibration board, rendered by ray casting through cameras that are known."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
from ivf_ros.calibration.boards import Board
from ivf_ros.calibration.bundle_adjustment import Pose
from ivf_ros.calibration.cameras import Camera
import numpy as np

_TEXTURE_PX = 40  # of a square, or of a tag
_SUPERSAMPLING = 2
_MARGIN = 1.0  # blank border around the board, in squares


@dataclass(frozen=True, eq=False)
class BoardTexture:
    """
    The print of a board.

    Attributes
    ----------
    image:
        ``(H, W)`` uint8, black on white.
    px_per_m, origin_px:
        Resolution, and the position of the origin of the board.

    """

    image: np.ndarray
    px_per_m: float
    origin_px: tuple[float, float]


def draw_board(board: Board) -> BoardTexture:
    """Draw the print of a board with its surroundings."""
    p = board.parameters
    px, margin = _TEXTURE_PX, round(_MARGIN * _TEXTURE_PX)
    per_m = px / p.square_m
    if p.kind == 'checkerboard':
        squares = np.indices((p.rows + 1, p.columns + 1)).sum(0) % 2 * 255
        image = np.kron(squares, np.ones((px, px)))
        origin = (margin + px - 0.5,) * 2
    elif p.kind == 'circles':
        image = np.full(((p.rows + 1) * px, (2 * p.columns + 1) * px), 255.0)
        for x, y in board.points_m[:, :2] * per_m:
            cv2.circle(image, (round(x + px), round(y + px)), round(0.5 * px), 0.0, -1)
        origin = (margin + px,) * 2
    elif p.kind == 'aprilgrid':
        image = _draw_aprilgrid(board, per_m)
        gap = p.tag_spacing * px
        origin = (margin + gap - 0.5,) * 2
    else:
        charuco = cv2.aruco.CharucoBoard((p.columns, p.rows), p.square_m, board.marker_m,
                                         cv2.aruco.getPredefinedDictionary(
                                             getattr(cv2.aruco, p.dictionary)))
        image = charuco.generateImage((p.columns * px, p.rows * px)).astype(float)
        origin = (margin - 0.5,) * 2
    return BoardTexture(cv2.copyMakeBorder(image, *(margin,) * 4, cv2.BORDER_CONSTANT, value=255.0
                                           ).astype(np.uint8), per_m, origin)


def _draw_aprilgrid(board: Board, per_m: float) -> np.ndarray:
    """Draw tags with a border of two bits, and the small squares that join their corners."""
    p, px = board.parameters, _TEXTURE_PX
    gap, pitch = round(p.tag_spacing * px), round((1 + p.tag_spacing) * px)
    image = np.full((p.rows * pitch + gap, p.columns * pitch + gap), 255.0)
    dictionary = cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_APRILTAG_36H11)
    for number in range(p.rows * p.columns):
        row, column = divmod(number, p.columns)
        y, x = (p.rows - 1 - row) * pitch + gap, column * pitch + gap  # numbers run upwards
        image[y:y + px, x:x + px] = cv2.aruco.generateImageMarker(dictionary, number, px,
                                                                  borderBits=2)
    for row, column in np.ndindex(p.rows + 1, p.columns + 1):
        image[row * pitch:row * pitch + gap, column * pitch:column * pitch + gap] = 0
    return image


@dataclass(frozen=True)
class RenderedCamera:
    """A camera with its blur, noise and levels of the dark and the bright parts of the print."""

    camera: Camera
    blur_px: float = 0.6
    noise: float = 2.0
    dark: float = 60.0
    bright: float = 190.0
    background: float = 110.0
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    def render(self, texture: BoardTexture, pose: Pose) -> np.ndarray:
        """Return the image ``(H, W)`` uint8 of a board in this pose."""
        width, height = self.camera.size
        fine = (np.arange(_SUPERSAMPLING) + 0.5) / _SUPERSAMPLING - 0.5
        x = (np.arange(width)[:, None] + fine).ravel()
        y = (np.arange(height)[:, None] + fine).ravel()
        pixels = np.stack(np.meshgrid(x, y), -1).reshape(-1, 2)
        rays = self.camera.rays(pixels)
        R, tvec = pose.R, pose.t_m
        # The board is z = 0 of its frame: solve R b + t = s ray.
        depth = (R[:, 2] @ tvec) / (rays @ R[:, 2])
        on_board = ((rays * depth[:, None]) - tvec) @ R
        at = on_board[:, :2] * texture.px_per_m + texture.origin_px
        at[depth <= 0] = -1e4
        shape = (len(y), len(x))
        levels = cv2.remap(texture.image.astype(np.float32),
                           at[:, 0].reshape(shape).astype(np.float32),
                           at[:, 1].reshape(shape).astype(np.float32), cv2.INTER_LINEAR,
                           borderMode=cv2.BORDER_CONSTANT, borderValue=-1.0)
        inside = levels >= 0
        image = np.where(inside, self.dark + (self.bright - self.dark) * levels / 255.0,
                         self.background)
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
        image = cv2.GaussianBlur(image, (0, 0), self.blur_px)
        noisy = image + self.rng.normal(0, self.noise, image.shape)
        return np.clip(np.round(noisy), 0, 255).astype(np.uint8)


def make_poses(count: int, distance_m: float, centre_m: np.ndarray, seed: int = 0,
               max_tilt_deg: float = 35.0, shift: float = 0.25
               ) -> list[Pose]:
    """Return poses of a board: tilted, turned, and shifted by a fraction of the distance."""
    rng = np.random.default_rng(seed)
    poses = []
    for _ in range(count):
        tilt = np.radians(rng.uniform(-max_tilt_deg, max_tilt_deg, 2))
        turn = np.radians(rng.uniform(-15, 15))
        R = cv2.Rodrigues(np.array([tilt[0], tilt[1], turn]))[0]
        distance = distance_m * rng.uniform(0.85, 1.25)
        position = np.array([*rng.uniform(-shift, shift, 2) * distance, distance])
        poses.append(Pose(R, position - R @ centre_m))
    return poses
