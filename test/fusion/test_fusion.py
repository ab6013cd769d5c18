# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Fusion: closed forms, the colour rule, coverage, real pairs, and cameras that fail."""

from __future__ import annotations

import cv2
from hypothesis import given, settings, strategies
from ivf_ros import fusion, geometry
from ivf_ros.fusion import FusionMode, FusionParameters, FusionStage, FusionStageParameters
from ivf_ros.fusion.color import replace_luma
from ivf_ros.fusion.settings import LEARNED
from ivf_ros.fusion.stage import RgbState
from ivf_ros.parameters import build, ParameterError
from ivf_ros.thermal import Agc, AGC_MODES, AgcParameters, ThermalHealth, ThermalState
from ivf_ros.types import Registration, RegistrationState
import numpy as np
import pytest

SIZES = [(1, 1), (1, 7), (4, 1), (2, 2), (17, 1), (31, 33), (120, 161)]


def noise(shape, seed=0, low=0, high=256):
    return np.random.default_rng(seed).integers(low, high, shape).astype(np.uint8)


def scene(height=240, width=320):
    """Return a textured colour image, bright enough in every channel to keep its chroma."""
    coarse = noise((height // 8, width // 8, 3), 1, 60, 200)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def luma(bgr):
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY)


def read_only(image):
    image = image.copy()
    image.flags.writeable = False
    return image


def make_stage(values):
    return FusionStage(FusionStageParameters(fusion=build(FusionParameters, values)))


# Closed forms


@pytest.mark.parametrize('method', [name for name in fusion.methods() if name not in LEARNED])
@pytest.mark.parametrize('shape', SIZES)
def test_an_image_fused_with_itself_is_itself(method, shape):
    image = noise(shape)
    assert np.array_equal(fusion.create(method).fuse_gray(image, image), image)


@pytest.mark.parametrize('shape', SIZES)
@pytest.mark.parametrize('level', [0, 100, 255])
def test_laplacian_follows_rgb_where_thermal_is_flat(shape, level):
    gray = noise(shape)
    flat = np.full(shape, level, np.uint8)
    assert np.array_equal(fusion.create('laplacian').fuse(flat, gray), gray)


def test_laplacian_takes_the_details_of_thermal_where_rgb_is_flat():
    thermal = cv2.GaussianBlur(noise((120, 160)), (0, 0), 2)
    fused = fusion.create('laplacian').fuse_gray(thermal, np.full((120, 160), 128, np.uint8))
    fine = [image.astype(float) - cv2.GaussianBlur(image.astype(np.float32), (0, 0), 6)
            for image in (thermal, fused)]
    assert np.corrcoef(fine[0].ravel(), fine[1].ravel())[0, 1] > 0.98
    assert fine[1].std() > 0.8 * fine[0].std()


@pytest.mark.parametrize(('thermal', 'rgb', 'mean'),
                         [(0, 200, 100), (255, 255, 255), (10, 20, 15)])
def test_average_of_constants_is_their_mean(thermal, rgb, mean):
    fused = fusion.create('average').fuse(np.full((5, 6), thermal, np.uint8),
                                          np.full((5, 6), rgb, np.uint8))
    assert (fused == mean).all()


def test_laplacian_keeps_a_hot_object_at_least_as_bright_as_in_thermal():
    thermal = np.full((240, 320), 30, np.uint8)
    thermal[100:160, 140:170] = 220
    dark_coat = np.full((240, 320), 200, np.uint8)
    dark_coat[100:160, 140:170] = 20
    for rgb in (dark_coat, np.zeros_like(dark_coat)):
        fused = fusion.create('laplacian').fuse(thermal, rgb)
        assert fused[100:160, 140:170].min() >= 219


def test_evenly_warm_ground_does_not_brighten_rgb():
    thermal = np.full((240, 320), 20, np.uint8)
    thermal[80:] = 220  # two thirds of the image
    gray = luma(scene())
    fused = fusion.create('laplacian').fuse(thermal, gray)
    excess = 220.0 - gray[160:]
    assert np.median((fused[160:] - gray[160:].astype(float)) / excess) < 0.25


def test_a_person_is_hot_also_below_a_very_cold_sky():
    thermal = np.full((240, 320), 180, np.uint8)
    thermal[:90] = 0
    thermal[140:200, 100:125] = 245
    rgb = scene() // 2
    fused = luma(fusion.create('laplacian').fuse(thermal, rgb))
    assert fused[140:200, 100:125].min() >= 240
    assert abs(fused[210:].mean() - luma(rgb)[210:].mean()) < 60


def test_a_hot_object_behind_smoke_keeps_its_contrast():
    thermal = np.full((240, 320), 30, np.uint8)
    thermal[60:200, 100:160] = 200
    smoke = cv2.GaussianBlur(noise((240, 320), 3, 150, 190), (0, 0), 8)
    fused = fusion.create('laplacian').fuse(thermal, smoke).astype(float)
    outside = np.concatenate([fused[60:200, 60:90].ravel(), fused[60:200, 170:200].ravel()])
    assert fused[60:200, 100:160].mean() - outside.mean() > 0.5 * (200 - 30)


@pytest.mark.parametrize('method', fusion.methods())
def test_the_result_has_the_shape_of_rgb(method):
    thermal = noise((40, 50))
    for rgb in (noise((40, 50)), noise((40, 50, 3))):
        fused = fusion.create(method).fuse(thermal, rgb)
        assert fused.shape == rgb.shape and fused.dtype == np.uint8


# The colour rule


def test_chroma_is_kept_where_it_can_be_displayed():
    rgb, thermal = scene(), cv2.resize(noise((30, 40), 2), (320, 240))
    fused = fusion.create('laplacian').fuse(thermal, rgb)
    before, after = (cv2.cvtColor(image, cv2.COLOR_BGR2YCrCb).astype(int)
                     for image in (rgb, fused))
    shifted = rgb.astype(int) + (after[..., :1] - before[..., :1])
    allowed = ((shifted >= 2) & (shifted <= 253)).all(axis=2)
    assert allowed.mean() > 0.5
    assert np.abs(after - before)[allowed][:, 1:].max() <= 2


@given(strategies.integers(0, 2 ** 32 - 1))
@settings(max_examples=30, deadline=None)
def test_any_colour_takes_any_luma_exactly(seed):
    rgb, new_luma = noise((16, 16, 3), seed), noise((16, 16), seed + 1)
    colored = replace_luma(rgb, luma(rgb), new_luma)
    assert np.abs(luma(colored).astype(int) - new_luma).max() <= 1
    before = rgb.astype(float) - luma(rgb)[..., None]
    after = colored.astype(float) - new_luma[..., None]
    # The difference of a channel from gray neither changes its sign nor grows: the hue is kept.
    assert (np.abs(after) <= np.abs(before) + 1).all()
    assert (before * after >= -np.abs(before)).all()


@pytest.mark.parametrize('shape', SIZES)
def test_an_unchanged_luma_keeps_the_colours(shape):
    rgb = noise((*shape, 3))
    assert np.array_equal(replace_luma(rgb, luma(rgb), luma(rgb)), rgb)


@pytest.mark.parametrize('level', [0, 255])
def test_black_and_white_have_no_colour(level):
    rgb = noise((20, 20, 3))
    colored = replace_luma(rgb, luma(rgb), np.full((20, 20), level, np.uint8))
    assert np.abs(colored.astype(int) - level).max() <= 1


# Partial coverage


@pytest.mark.parametrize('method', fusion.methods())
@pytest.mark.parametrize('color', [False, True])
def test_the_result_equals_rgb_outside_the_coverage(method, color):
    rgb = noise((90, 121, 3)) if color else noise((90, 121))
    valid = np.zeros((90, 121), bool)
    valid[20:70, 30:100] = True
    fused = fusion.create(method).fuse(noise((90, 121), 5), rgb, valid)
    assert np.array_equal(fused[~valid], rgb[~valid])
    assert not np.array_equal(fused[valid], rgb[valid])


def test_a_single_thermal_pixel_is_enough():
    thermal, rgb, valid = noise((100, 140)), noise((100, 140, 3), 1), np.zeros((100, 140), bool)
    valid[50, 70] = True
    fused = fusion.create('laplacian').fuse(thermal, rgb, valid)
    assert np.array_equal(fused[~valid], rgb[~valid])


@pytest.mark.parametrize('method', fusion.methods())
def test_there_is_no_visible_seam_at_the_border_of_thermal(method):
    rgb = np.full((200, 200), 80, np.uint8)
    valid = np.zeros((200, 200), bool)
    valid[:, 100:] = True
    fused = fusion.create(method).fuse(np.full((200, 200), 240, np.uint8), rgb, valid)
    assert np.abs(np.diff(fused.astype(int), axis=1)).max() <= 8


@pytest.mark.parametrize('method', fusion.methods())
@pytest.mark.parametrize('dtype', [np.float32, np.float64])
def test_nan_is_treated_as_outside_the_coverage(method, dtype):
    celsius, rgb = noise((60, 80)).astype(dtype) / 8, noise((60, 80, 3))
    celsius[:, :30] = np.nan
    valid = np.isfinite(celsius)
    fused = fusion.create(method).fuse(celsius, rgb)
    assert np.array_equal(fused[:, :30], rgb[:, :30])
    assert np.array_equal(fused, fusion.create(method).fuse(celsius, rgb, valid))


@pytest.mark.parametrize('valid', [np.zeros((9, 9), bool), None])
def test_the_result_is_a_copy_of_rgb_without_any_coverage(valid):
    rgb = noise((9, 9, 3))
    thermal = np.full((9, 9), np.nan, np.float32)
    fused = fusion.create('laplacian').fuse(thermal, rgb, valid)
    assert np.array_equal(fused, rgb) and fused is not rgb


# Inputs


@pytest.mark.parametrize('dtype', [np.uint16, np.float32, np.float64])
def test_counts_and_temperatures_go_through_the_gain_control(dtype):
    gray = cv2.GaussianBlur(noise((120, 160)), (0, 0), 3)
    thermal = (gray.astype(np.float64) * 10 + 29000).astype(dtype)
    rgb = np.full((120, 160), 90, np.uint8)
    fused = fusion.create('average', **{'background.match': False}).fuse(thermal, rgb)
    assert np.corrcoef(fused.ravel(), gray.ravel())[0, 1] > 0.98
    assert np.ptp(fused) > 110


@pytest.mark.parametrize('method', fusion.methods())
@pytest.mark.parametrize('dtype', [np.uint8, np.uint16, np.float32])
def test_inputs_may_be_read_only_and_are_not_written_to(method, dtype):
    thermal, rgb = read_only(noise((50, 60)).astype(dtype)), read_only(noise((50, 60, 3), 1))
    valid = np.ones((50, 60), bool)
    valid[:5] = False
    fused = fusion.create(method).fuse(thermal, rgb, read_only(valid))
    assert np.array_equal(rgb, noise((50, 60, 3), 1)) and not np.shares_memory(fused, rgb)
    assert np.array_equal(thermal, noise((50, 60)).astype(dtype))


@pytest.mark.parametrize('method', fusion.methods())
def test_the_same_images_give_the_same_result(method):
    thermal, rgb = noise((77, 99)), noise((77, 99, 3), 1)
    assert np.array_equal(fusion.create(method).fuse(thermal, rgb),
                          fusion.create(method).fuse(thermal, rgb))


def test_a_strided_view_fuses_like_its_copy():
    thermal, rgb = noise((100, 120)), noise((100, 120, 3), 1)
    views = thermal[::2, 1::2], rgb[::2, 1::2]
    assert np.array_equal(fusion.create('laplacian').fuse(*views),
                          fusion.create('laplacian').fuse(*(view.copy() for view in views)))


@pytest.mark.parametrize(('thermal', 'rgb', 'valid', 'message'), [
    # different grids
    (np.zeros((4, 5), np.uint8), np.zeros((5, 4, 3), np.uint8), None, r'\(4, 5\), .*\(5, 4\)'),
    # colour thermal
    (np.zeros((4, 5, 3), np.uint8), np.zeros((4, 5, 3), np.uint8), None, r'thermal must be'),
    (np.zeros((4, 5), np.int32), np.zeros((4, 5, 3), np.uint8), None, 'int32'),
    (np.zeros((0, 5), np.uint8), np.zeros((0, 5), np.uint8), None, r'\(0, 5\)'),
    (np.zeros((4, 5), np.uint8), np.zeros((4, 5, 4), np.uint8), None, r'\(4, 5, 4\)'),
    (np.zeros((4, 5), np.uint8), np.zeros((4, 5), np.uint16), None, 'uint16'),
    # coverage of a wrong dtype
    (np.zeros((4, 5), np.uint8), np.zeros((4, 5), np.uint8), np.ones((4, 5)), 'coverage must be'),
])
def test_the_error_for_bad_images_says_what_was_got_and_expected(thermal, rgb, valid, message):
    with pytest.raises(fusion.FusionError, match=message):
        fusion.create('average').fuse(thermal, rgb, valid)


@pytest.mark.parametrize(('method', 'values'), [
    ('no_such', {}), ('laplacian', {'no_such': 1}), ('laplacian', {'agc.mode': 'no_such'}),
    ('laplacian', {'laplacian.darkening': 2.0})])
def test_unknown_methods_and_parameters_are_refused(method, values):
    with pytest.raises(ParameterError):
        fusion.create(method, **values)


def test_changed_parameters_reach_the_gain_control():
    settings = {'method': 'average', 'background.match': False}
    fuser = fusion.create(**settings, **{'agc.mode': 'clahe'})
    luma = np.zeros(THERMAL.shape, np.uint8)
    with_clahe = fuser.fuse(THERMAL, luma)
    fuser.parameters = build(FusionParameters, {**settings, 'agc.mode': 'minmax'})
    assert np.array_equal(fuser.fuse(THERMAL, luma), fuser.fuse_gray(THERMAL, luma))
    assert not np.array_equal(with_clahe, fuser.fuse(THERMAL, luma))


# Real pairs


def msrs_pair(shared_data, name):
    folder = shared_data / 'msrs' / 'officialtest_dev'
    thermal, rgb = (next((folder / stream).glob(f'{name}.*'))
                    for stream in ('thermal', 'visible'))
    people = [row.split() for row in (folder / 'boxes' / f'{name}.txt').read_text().splitlines()]
    boxes = [[float(value) for value in row[1:]] for row in people if row[0] == '0']
    return cv2.imread(str(thermal), cv2.IMREAD_GRAYSCALE), cv2.imread(str(rgb)), boxes


@pytest.mark.parametrize('method', ['fast', 'laplacian'])
@pytest.mark.parametrize('name', ['00802N', '00810N', '01061N', '01335N'])
def test_people_at_night_stand_out_more_than_in_rgb(shared_data, name, method):
    thermal, rgb, boxes = msrs_pair(shared_data, name)
    fused = luma(fusion.create(method).fuse(thermal, rgb))
    height, width = fused.shape
    assert boxes
    for x, y, w, h in boxes:
        box = np.s_[int((y - h / 2) * height):int((y + h / 2) * height),
                    int((x - w / 2) * width):int((x + w / 2) * width)]
        assert fused[box].mean() > luma(rgb)[box].mean()
        # The warmest tenth of the box is the person without the background.
        warmest = thermal[box] >= np.percentile(thermal[box], 90)
        assert fused[box][warmest].mean() > luma(rgb)[box][warmest].mean() + 20


@pytest.mark.parametrize('method', ['fast', 'laplacian'])
def test_texture_of_a_day_image_stays(shared_data, method):
    thermal, rgb, _ = msrs_pair(shared_data, '00650D')
    gray, fused = luma(rgb), luma(fusion.create(method).fuse(thermal, rgb))
    detail = [cv2.Laplacian(image, cv2.CV_32F) for image in (gray, fused)]
    assert np.corrcoef(detail[0].ravel(), detail[1].ravel())[0, 1] > 0.75
    assert detail[1].std() > 0.95 * detail[0].std()


@pytest.mark.parametrize('method', ['fast', 'laplacian'])
def test_people_in_smoke_stand_out_of_it(shared_data, method):
    folder = shared_data / 'm3svd_sequences' / '0117_1620'
    frames = []
    for name in ('thermal', 'visible'):
        video = cv2.VideoCapture(str(folder / f'{name}.mp4'))
        video.set(cv2.CAP_PROP_POS_FRAMES, 300)
        read, frame = video.read()
        if not read:
            pytest.skip('this OpenCV cannot decode the recording')
        frames.append(frame)
    thermal, rgb = luma(frames[0]), frames[1]
    fused = luma(fusion.create(method).fuse(thermal, rgb)).astype(float)
    hot = thermal > 150
    contrast = [image[hot].mean() - image[~hot].mean()
                for image in (luma(rgb).astype(float), fused)]
    assert contrast[1] > max(60, 2 * contrast[0])


# The stage: output in each state of the cameras and the registration

RGB = scene()
DARK_RGB = np.full_like(RGB, 4)
WHITE_RGB = np.full_like(RGB, 255)
FLAT_RGB = np.full_like(RGB, 120)
SMOKE_RGB = 130 + noise((240, 320, 3), 7, 0, 12)
THERMAL = cv2.resize(noise((15, 20), 7), (160, 120))
FROZEN = ThermalHealth(ThermalState.FROZEN, 'the same frame for 0.40 s', 0.4)
BLIND = ThermalHealth(ThermalState.BLIND, 'no scene')
LIVE = ThermalHealth(ThermalState.LIVE)


def registration(state=RegistrationState.TRACKING, confidence=0.9, size=(320, 240)):
    return Registration(geometry.stretch((160, 120), size), confidence, 50, state, size,
                        reason='too few matches' if state is RegistrationState.LOST else '')


FUSED, RGB_ONLY = FusionMode.FUSED, FusionMode.RGB_ONLY
THERMAL_ONLY, NOTHING = FusionMode.THERMAL_ONLY, FusionMode.NOTHING
TRACKING, LOST = registration(), registration(RegistrationState.LOST)
HOLDING = registration(RegistrationState.HOLDING, 0.3)
PRIOR = registration(RegistrationState.PRIOR, 0.1)


@pytest.mark.parametrize(('thermal', 'rgb', 'latest', 'health', 'values', 'mode', 'reason'), [
    # no problem, with a registration in each usable state
    (THERMAL, RGB, TRACKING, LIVE, {}, FUSED, ''),
    (THERMAL, RGB, TRACKING, None, {}, FUSED, ''),
    (THERMAL, RGB, HOLDING, LIVE, {}, FUSED, ''),
    (THERMAL, RGB, PRIOR, LIVE, {}, FUSED, ''),
    # one camera missing
    (None, RGB, TRACKING, None, {}, RGB_ONLY, 'thermal MISSING'),
    (THERMAL, None, TRACKING, LIVE, {}, THERMAL_ONLY, 'RGB MISSING'),
    (THERMAL, None, LOST, LIVE, {}, THERMAL_ONLY, 'RGB MISSING'),
    (THERMAL, None, None, LIVE, {}, THERMAL_ONLY, 'on the thermal grid'),
    (None, None, TRACKING, None, {}, NOTHING, 'thermal MISSING; RGB MISSING'),
    # thermal frozen or blind
    (THERMAL, RGB, TRACKING, FROZEN, {}, RGB_ONLY, 'thermal FROZEN: the same frame for 0.40 s'),
    (THERMAL, RGB, TRACKING, BLIND, {}, RGB_ONLY, 'thermal BLIND'),
    (THERMAL, None, TRACKING, FROZEN, {}, NOTHING, 'thermal FROZEN'),  # not a current image
    (THERMAL, None, TRACKING, BLIND, {}, THERMAL_ONLY, 'thermal BLIND'),  # a current image
    # RGB not usable
    (THERMAL, DARK_RGB, TRACKING, LIVE, {}, THERMAL_ONLY, 'RGB DARK'),
    (THERMAL, WHITE_RGB, TRACKING, LIVE, {}, THERMAL_ONLY, 'RGB BLIND'),
    (THERMAL, FLAT_RGB, TRACKING, LIVE, {}, THERMAL_ONLY, 'RGB BLIND'),
    (THERMAL, DARK_RGB, LOST, LIVE, {}, THERMAL_ONLY, 'RGB DARK'),
    (THERMAL, DARK_RGB, None, LIVE, {}, THERMAL_ONLY, 'on the thermal grid'),
    (THERMAL, DARK_RGB, TRACKING, LIVE, {'dark_luma': 2.0, 'flat_levels': 0.0}, FUSED, ''),
    # neither usable: the current image
    (THERMAL, DARK_RGB, TRACKING, FROZEN, {}, RGB_ONLY, 'RGB DARK'),
    (None, DARK_RGB, TRACKING, None, {}, RGB_ONLY, 'thermal MISSING; RGB DARK'),
    # registration lost, missing, of low confidence, of another grid
    (THERMAL, RGB, LOST, LIVE, {}, RGB_ONLY, 'registration LOST: too few matches'),
    (THERMAL, RGB, LOST, LIVE, {'lost_policy': 'fuse'}, FUSED, 'registration LOST'),
    (THERMAL, RGB, LOST, LIVE, {'lost_policy': 'thermal'}, THERMAL_ONLY, 'registration LOST'),
    # lost, and RGB shows nothing: people whom only thermal shows must appear
    (THERMAL, SMOKE_RGB, LOST, LIVE, {}, THERMAL_ONLY, 'too few matches; RGB OBSCURED'),
    (THERMAL, SMOKE_RGB, None, LIVE, {}, THERMAL_ONLY,
     'no registration yet; RGB OBSCURED; image on the thermal grid'),
    (THERMAL, SMOKE_RGB, LOST, LIVE, {'lost_policy': 'fuse'}, FUSED, 'registration LOST'),
    (THERMAL, SMOKE_RGB, LOST, LIVE, {'obscured_levels': 0.0}, RGB_ONLY, 'registration LOST'),
    (THERMAL, SMOKE_RGB, TRACKING, LIVE, {}, FUSED, ''),
    (THERMAL, RGB, None, LIVE, {}, RGB_ONLY, 'no registration yet'),
    (THERMAL, RGB, None, LIVE, {'lost_policy': 'fuse'}, RGB_ONLY, 'no registration yet'),
    (THERMAL, RGB, HOLDING, LIVE, {'min_confidence': 0.5}, RGB_ONLY, '0.30 is below 0.50'),
    (THERMAL, RGB, registration(size=(640, 480)), LIVE, {}, RGB_ONLY, '640x480, got 320x240'),
])
def test_the_stage_selects_the_output_and_gives_the_reason(thermal, rgb, latest, health, values,
                                                           mode, reason):
    result = make_stage(values).fuse(thermal, rgb, latest, health)
    assert result.mode is mode
    assert reason in result.reason if reason else result.reason == ''
    assert (result.image is None) is (mode is NOTHING)
    assert result.on_rgb_grid is (latest is not None or mode is not THERMAL_ONLY)
    if mode is RGB_ONLY:
        assert result.image is rgb
    elif mode is not NOTHING:
        assert result.image.dtype == np.uint8
        assert result.image.shape == ((240, 320, 3) if result.on_rgb_grid else (120, 160, 3))


@pytest.mark.parametrize(('rgb', 'state'), [
    (RGB, RgbState.LIVE), (DARK_RGB, RgbState.DARK), (WHITE_RGB, RgbState.BLIND),
    (FLAT_RGB, RgbState.BLIND), (None, RgbState.MISSING), (luma(RGB), RgbState.LIVE),
    (np.zeros((1, 1), np.uint8), RgbState.DARK)])
def test_darkness_and_blindness_are_reported(rgb, state):
    assert FusionStage().fuse(None, rgb, None).rgb_state is state


def test_a_few_lamps_are_dark_but_a_lit_street_is_live():
    night = np.full((240, 320), 3, np.uint8)
    night[:10, :50] = 255
    assert FusionStage().assess_rgb(night) is RgbState.DARK
    night[150:] = noise((90, 320), 0, 20, 60)
    assert FusionStage().assess_rgb(night) is RgbState.LIVE


def test_the_stage_warps_thermal_to_the_rgb_grid():
    H = geometry.translation(40, 30)
    latest = Registration(H, 1.0, 9, RegistrationState.TRACKING, (320, 240))
    result = FusionStage().fuse(THERMAL, RGB, latest)
    covered = geometry.coverage(H, (160, 120), (320, 240))
    assert np.array_equal(result.image[~covered], RGB[~covered])
    warped = geometry.warp(THERMAL, H, (320, 240))
    assert np.array_equal(result.image, fusion.create().fuse(warped, RGB, covered))


def test_the_stage_shows_rgb_where_thermal_is_nan():
    celsius = THERMAL.astype(np.float32) / 8
    celsius[:, :80] = np.nan
    result = FusionStage().fuse(celsius, RGB, TRACKING)
    assert result.mode is FUSED
    assert np.array_equal(result.image[:, :155], RGB[:, :155])
    assert not np.array_equal(result.image[:, 165:], RGB[:, 165:])


def test_the_gain_control_ignores_the_uncovered_border():
    counts = THERMAL.astype(np.uint16) * 10 + 30000
    latest = Registration(geometry.translation(40, 30), 1.0, 9, RegistrationState.TRACKING,
                          (320, 240))
    shown = FusionStage().fuse(counts, None, latest).image[30:150, 40:200, 0]
    assert np.abs(np.ptp(shown.astype(int)) - 255) < 3
    assert np.corrcoef(shown.ravel(), THERMAL.ravel())[0, 1] > 0.99


def test_the_gain_control_resets_after_the_shutter_shifted_all_counts():
    stage, counts = FusionStage(), THERMAL.astype(np.uint16) * 10 + 30000
    before = stage.fuse(counts, None, TRACKING, LIVE).image
    moved = ThermalHealth(ThermalState.LIVE, offset=800.0)
    after = stage.fuse(counts + 800, None, TRACKING, moved).image
    assert np.abs(after.astype(int) - before).max() <= 1


def test_gray_rgb_gives_a_gray_result_also_for_thermal_alone():
    dark = luma(DARK_RGB)
    assert FusionStage().fuse(THERMAL, dark, TRACKING).image.shape == (240, 320)
    assert FusionStage().fuse(THERMAL, luma(RGB), TRACKING).image.shape == (240, 320)


def test_thermal_alone_follows_a_changed_rgb_size():
    dark = np.zeros((480, 640, 3), np.uint8)
    shown = FusionStage().fuse(THERMAL, dark, TRACKING).image
    resized = cv2.resize(THERMAL, (640, 480), interpolation=cv2.INTER_LINEAR)
    # warpPerspective rounds coordinates to 1/32 px; the scene has edges of 200 levels.
    assert np.abs(shown[..., 0].astype(int) - resized).max() <= 200 / 32 + 1


def test_the_stage_does_not_modify_its_inputs():
    result = FusionStage().fuse(read_only(THERMAL), read_only(RGB), TRACKING, LIVE)
    assert result.mode is FUSED


def test_parameters_change_between_two_frames():
    stage = FusionStage()
    changed = build(FusionStageParameters, {'fusion.lost_policy': 'thermal'})
    prepared = stage.prepare(changed)
    assert prepared is stage.method and stage.fuse(THERMAL, RGB, LOST).mode is RGB_ONLY
    stage.apply(changed, prepared)
    assert stage.fuse(THERMAL, RGB, LOST).mode is THERMAL_ONLY


def test_the_stage_refuses_bad_images():
    with pytest.raises(fusion.FusionError, match='thermal must be'):
        FusionStage().fuse(np.zeros((3, 3, 3), np.uint8), RGB, TRACKING)
    with pytest.raises(fusion.FusionError, match='rgb must be'):
        FusionStage().fuse(THERMAL, np.zeros((3, 3), np.float32), TRACKING)


@pytest.mark.parametrize('mode', AGC_MODES)
@pytest.mark.parametrize('dtype', [np.uint8, np.uint16, np.float32])
def test_the_stage_applies_the_gain_control_once_in_every_mode(mode, dtype):
    agc = {'mode': mode, 'fixed_low_counts': 30000.0, 'fixed_high_counts': 32550.0,
           'fixed_low_celsius': 26.0, 'fixed_high_celsius': 52.0, 'smoothing': 0.5}
    if dtype == np.uint8:
        agc.update(fixed_low_counts=50.0, fixed_high_counts=200.0)
    stage = make_stage({'method': 'average',
                        **{f'agc.{name}': value for name, value in agc.items()}})
    gain, fuser = Agc(build(AgcParameters, agc)), fusion.create('average')
    aligned = Registration(np.eye(3), 1.0, 9, RegistrationState.TRACKING, (160, 120))
    rgb = luma(RGB)[:120, :160].copy()
    for frame in range(3):  # the gain control has a state from the second frame on
        levels = np.roll(THERMAL, 5 * frame, axis=1)
        levels = np.clip(levels.astype(np.int16) + 10 * frame, 0, 255).astype(np.uint8)
        thermal = {np.uint8: levels, np.uint16: levels.astype(np.uint16) * 10 + 30000,
                   np.float32: levels.astype(np.float32) / 10 + 26}[dtype]
        fused = stage.fuse(thermal, rgb, aligned).image
        gray = gain(thermal)
        assert gray.std() > 30
        assert np.array_equal(fused, fuser.fuse_gray(gray, rgb, match_background=True))
