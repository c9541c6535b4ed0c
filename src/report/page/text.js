// Elements, and texts of which none is taken as HTML: the page is put together of text nodes alone.

/** @typedef {Node | string | undefined} Child */

/**
 * An element with attributes and what is in it. A listener is an attribute that begins with "on".
 *
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, unknown>} attributes
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  return filled(element, attributes, children);
}

/**
 * The same for a picture's element.
 *
 * @template {keyof SVGElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, unknown>} attributes
 * @param {...Child} children
 * @returns {SVGElementTagNameMap[K]}
 */
export function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  return filled(element, attributes, children);
}

/**
 * @template {Element} E
 * @param {E} element
 * @param {Record<string, unknown>} attributes
 * @param {readonly Child[]} children
 * @returns {E}
 */
function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function")
      element.addEventListener(name.slice(2), /** @type {EventListener} */ (value));
    else if (value === true) element.setAttribute(name, "");
    else if (value !== undefined && value !== false) element.setAttribute(name, String(value));
  }
  element.append(...children.filter((child) => child !== undefined));
  return element;
}

/** What is invisible, changes the direction of writing, or moves a terminal's cursor; newlines and tabs stay. */
const unsafe =
  /((?![\n\t])[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}])/u;

/**
 * A text with what cannot be seen written by its number.
 *
 * @param {string} text
 * @returns {Node[]}
 */
export function shown(text) {
  return text
    .split(unsafe)
    .map((part, i) =>
      i % 2 === 0
        ? document.createTextNode(part)
        : el("span", { class: "unseen" }, `\\u{${part.codePointAt(0)?.toString(16)}}`),
    );
}

/** The same for an attribute or one line. @param {string} text */
export function plain(text) {
  return text
    .split(unsafe)
    .map((part, i) => (i % 2 === 0 ? part : `\\u{${part.codePointAt(0)?.toString(16)}}`))
    .join("");
}

/** A sentence with code in backticks. @param {string} text @returns {Node[]} */
export function sentence(text) {
  return text
    .split("`")
    .map((part, i) => (i % 2 === 0 ? document.createTextNode(part) : el("code", {}, part)));
}

const python = {
  comment: /#[^\n]*/,
  string: /"""[\s\S]*?(?:"""|$)|'''[\s\S]*?(?:'''|$)|"(?:\\.|[^"\\\n])*"?|'(?:\\.|[^'\\\n])*'?/,
  number: /\b\d[\w.]*/,
  keyword:
    /\b(?:and|as|assert|break|class|continue|def|del|elif|else|except|False|finally|for|from|global|if|import|in|is|lambda|None|nonlocal|not|or|pass|raise|return|True|try|while|with|yield)\b/,
};
const pythonToken = new RegExp(
  Object.entries(python)
    .map(([name, { source }]) => `(?<${name}>${source})`)
    .join("|"),
  "g",
);

/** A program, coloured. @param {string} text @returns {Node[]} */
export function program(text) {
  /** @type {Node[]} */
  const nodes = [];
  let end = 0;
  for (const { 0: token, index, groups = {} } of text.matchAll(pythonToken)) {
    const kind = Object.keys(groups).find((name) => groups[name] !== undefined);
    nodes.push(...shown(text.slice(end, index)), el("span", { class: kind }, ...shown(token)));
    end = index + token.length;
  }
  return [...nodes, ...shown(text.slice(end))];
}

/** Four digits, as short as they can be written. @param {number} value */
export function short(value) {
  if (!Number.isFinite(value)) return String(value);
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e6)) return value.toExponential(2).replace("e+", "e");
  return Number(value.toPrecision(4)).toLocaleString("en");
}

/** In percent. @param {number} share */
export function percent(share) {
  return (100 * share).toFixed(1);
}

/**
 * A table that scrolls sideways where it is too wide.
 *
 * @param {string} caption
 * @param {readonly string[]} head
 * @param {readonly (readonly (Child | readonly Child[])[])[]} rows
 */
export function table(caption, head, rows) {
  return el(
    "div",
    { class: "scroll", tabindex: 0, role: "region", "aria-label": plain(caption) },
    el(
      "table",
      {},
      el("caption", {}, plain(caption)),
      el("thead", {}, el("tr", {}, ...head.map((text) => el("th", { scope: "col" }, plain(text))))),
      el(
        "tbody",
        {},
        ...rows.map((cells) =>
          el(
            "tr",
            {},
            ...cells.map((cell, i) => {
              const content = Array.isArray(cell) ? cell : [/** @type {Child} */ (cell)];
              const nodes = content.flatMap((part) =>
                typeof part === "string" ? shown(part) : [part],
              );
              return i === 0 ? el("th", { scope: "row" }, ...nodes) : el("td", {}, ...nodes);
            }),
          ),
        ),
      ),
    ),
  );
}

let fields = 0;

/** A control with its name before it. @param {string} name @param {HTMLElement} control */
export function labelled(name, control) {
  control.id = `field-${fields++}`;
  return el("span", { class: "field" }, el("label", { for: control.id }, name), control);
}

/**
 * A choice among few.
 *
 * @param {readonly (readonly [value: string, name: string])[]} options
 * @param {(value: string) => void} onChange
 */
export function choice(options, onChange) {
  const select = el(
    "select",
    { onchange: () => onChange(select.value) },
    ...options.map(([value, name]) => el("option", { value }, plain(name))),
  );
  return select;
}
