// Copyright 2026 The ivf_ros authors
// SPDX-License-Identifier: Apache-2.0

// Elements, numbers and pictures. All text goes in as text nodes: names cannot become markup.

const MISSING = '–';

const find = (id) => document.getElementById(id);

/** Make an element; attributes that are functions are listeners, those that are null left out. */
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === 'function') {
      made.addEventListener(name, value);
    } else if (value !== null) {
      made.setAttribute(name, value);
    }
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

/** Fill a select with [value, label] pairs and choose one. */
function fillSelect(select, pairs, chosen) {
  select.replaceChildren(...pairs.map(([value, label]) => element('option', {value}, label)));
  select.value = chosen;
}

/** Return how many decimals tell the values of a column apart: about four digits in all. */
function decimalsFor(values) {
  const largest = Math.max(...values.filter((value) => value !== null).map(Math.abs));
  if (!(largest > 0) || !Number.isFinite(largest)) {
    return 3;
  }
  const magnitude = Math.floor(Math.log10(largest));
  return magnitude >= 0 ? Math.max(0, 3 - magnitude) : Math.min(8, 2 - magnitude);
}

/** Return a number as text, a dash where there is none. */
function formatNumber(value, decimals) {
  if (value === null || value === undefined) {
    return MISSING;
  }
  return value.toFixed(decimals).replace('-', '−');
}

const plural = (count, noun) => `${count} ${noun}${count === 1 ? '' : 's'}`;

/** Put text on the clipboard and say so in the button. */
async function copyText(text, button) {
  const label = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = 'Copied';
  } catch (error) {
    button.textContent = copyBySelection(text) ? 'Copied' : 'The browser did not allow it';
  }
  setTimeout(() => { button.textContent = label; }, 1500);
}

/** Copy the way that needs no permission. */
function copyBySelection(text) {
  const area = element('textarea', {class: 'off-screen'});
  area.value = text;
  document.body.append(area);
  area.select();
  const done = document.execCommand('copy');
  area.remove();
  return done;
}

// The pictures stay strings until one is asked for, and are decoded when it comes into view.
let pictureUris = null;

function pictureUri(place) {
  if (pictureUris === null) {
    pictureUris = JSON.parse(find('pictures').textContent);
  }
  return pictureUris[place];
}

function showPicture(image) {
  image.src = pictureUri(Number(image.dataset.picture));
  delete image.dataset.picture;
}

const pictureWatch = new IntersectionObserver((entries) => {
  for (const {isIntersecting, target} of entries) {
    if (isIntersecting) {
      pictureWatch.unobserve(target);
      if (target.dataset.picture !== undefined) {
        showPicture(target);
      }
    }
  }
}, {rootMargin: '200px'});

/** Return an image that loads when it is scrolled to, or a note where there is no picture. */
function picture(place, alt) {
  if (place === null || place === undefined) {
    return element('span', {class: 'no-picture'}, `no picture: ${alt}`);
  }
  const image = element('img', {alt, decoding: 'async', 'data-picture': place});
  pictureWatch.observe(image);
  return image;
}

/** Give a frame the shape of the largest of the pictures in it. */
function fitPictures(frame) {
  const [largest] = [...frame.querySelectorAll('img')]
    .filter(({naturalWidth}) => naturalWidth > 0)
    .sort((a, b) => b.naturalWidth - a.naturalWidth);
  if (largest) {
    const aspect = largest.naturalWidth / largest.naturalHeight;
    frame.style.setProperty('--aspect', String(aspect));
  }
}

function showAllPictures() {
  document.querySelectorAll('img[data-picture]').forEach(showPicture);
}
