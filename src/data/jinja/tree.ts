// The syntax tree of a template: what the library computes otherwise than Python is replaced by functions of our own, or refused;
// which names a template needs.
import { UserError } from "../../errors.ts";
import { filters } from "./filters.ts";
import { operators } from "./operators.ts";

/** A node of the library's syntax tree; its classes are not exported. */
export interface Node {
  readonly type: string;
  readonly [field: string]: unknown;
}

/** The name of a function of ours; no identifier of a template has a space. */
export const ownName = (name: string) => `own ${name}`;

const identifier = (value: string): Node => ({ type: "Identifier", value });
const call = (name: string, args: readonly unknown[]): Node => ({
  type: "CallExpression",
  callee: identifier(ownName(name)),
  args,
});

const negated = (argument: Node, isNegated: unknown): Node =>
  isNegated ? { type: "UnaryExpression", operator: { value: "not" }, argument } : argument;

const isNode = (value: unknown): value is Node =>
  typeof value === "object" && value !== null && "type" in value;

/** Statements; every other node of a block is an expression that is written. */
const statements =
  /^(If|For|Set|Macro|Break|Continue|Comment|CallStatement|FilterStatement|StringLiteral)$/;

/** A copy of a tree in which nodes whose results differ from Python's are replaced. */
export function correct(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(correct);
  if (value instanceof Map)
    return new Map([...value].map((pair) => pair.map(correct) as [unknown, unknown]));
  if (!isNode(value)) return value;
  const node = Object.fromEntries(
    Object.entries(value).map(([field, inner]) => [
      field,
      blocks.has(field) && Array.isArray(inner) ? correctBlock(inner) : correct(inner),
    ]),
  ) as unknown as Node;
  return corrected(node);
}

const blocks = new Set(["body", "alternate", "defaultBlock"]);

/** Python writes some values otherwise; and a loop's turn sees nothing of what the turn before it has set. */
function correctBlock(block: readonly Node[]): Node[] {
  return block.flatMap((statement) => {
    // The library filters a block by its own filters; an expression has ours.
    if (statement.type === "FilterStatement") {
      const [assignee, { body, filter }] = [identifier(ownName("filtered")), statement];
      return correctBlock([
        { type: "Set", assignee, value: null, body },
        { type: "FilterExpression", operand: assignee, filter },
      ]);
    }
    if (statement.type !== "For")
      return statements.test(statement.type)
        ? [correct(statement) as Node]
        : [call("{{", [correct(statement)])];
    const given = namesIn(statement.loopvar); // anew in each turn
    const set = [...setIn(statement.body as Node[])].filter((name) => !given.includes(name));
    const kept = set.map((name) => ({
      assign: (to: string, from: string) =>
        ({ type: "Set", assignee: identifier(to), value: identifier(from), body: [] }) as Node,
      name,
      copy: `${ownName("outer")} ${name}`,
    }));
    if (contains(statement.body, isJump) && contains(statement.body, isWritten))
      throw new UserError("break or continue in a loop that writes something is not computed");
    const loop = correct(statement) as Node;
    return [
      ...kept.map(({ assign, name, copy }) => assign(copy, name)),
      {
        ...loop,
        body: [
          ...kept.map(({ assign, name, copy }) => assign(name, copy)),
          ...(loop.body as Node[]),
        ],
      },
    ];
  });
}

const isJump = ({ type }: Node) => type === "Break" || type === "Continue";
const isWritten = ({ type, value }: Node) =>
  !statements.test(type) || (type === "StringLiteral" && value !== "");

/** Whether a block has such a node, also within its conditions; the library forgets what a loop's turn wrote before it is left. */
function contains(block: unknown, isSought: (node: Node) => boolean): boolean {
  return (block as Node[]).some(
    (node) =>
      isSought(node) ||
      (node.type === "If" && (contains(node.body, isSought) || contains(node.alternate, isSought))),
  );
}

/** Names that an assignment or a loop gives a value. */
function namesIn(target: unknown): string[] {
  const { type, value } = target as Node;
  if (type === "Identifier") return [String(value)];
  return type === "TupleLiteral" ? (value as Node[]).flatMap(namesIn) : [];
}

/** Names that a loop's body sets in its own scope. */
function setIn(block: readonly Node[]): Set<string> {
  const names = block.flatMap(({ type, assignee, body, alternate }) => {
    if (type === "Set") return namesIn(assignee);
    return type === "If" ? [...setIn([...(body as Node[]), ...(alternate as Node[])])] : [];
  });
  return new Set(names);
}

/** @throws UserError for a method or filter whose results differ from Python's */
function known(name: string): string {
  if (name === "title") throw new UserError('the filter or method "title" is not computed');
  return name;
}

function corrected(node: Node): Node {
  switch (node.type) {
    case "BinaryExpression":
      return operation(node);
    case "TestExpression": {
      const name = `is ${(node.test as Node).value}`;
      return Object.hasOwn(operators, name)
        ? negated(call(name, [node.operand]), node.negate)
        : node;
    }
    case "MemberExpression":
      return member(node);
    case "CallExpression":
      return method(node);
    case "FilterExpression":
      return filtered(node);
    default:
      return node;
  }
}

const opposites: Readonly<Record<string, string>> = { "!=": "==", "not in": "in" };

function operation(node: Node): Node {
  const sign = String((node.operator as Node).value);
  if (/^\/\/?$/.test(sign)) return { ...node, right: call("/", [node.right]) };
  const name = opposites[sign] ?? sign;
  if (!Object.hasOwn(operators, name)) return node;
  return negated(call(name, [node.left, node.right]), name !== sign);
}

function member(node: Node): Node {
  const { type, value } = node.property as Node;
  if (type === "SliceExpression") return node;
  const isItem = node.computed || type === "IntegerLiteral";
  const name = { type: "StringLiteral", value };
  return { ...node, object: isItem ? call("[]", [node.object]) : call(".", [node.object, name]) };
}

function method(node: Node): Node {
  const [callee, args] = [node.callee as Node, node.args as Node[]];
  if (callee.type !== "MemberExpression" || callee.computed) return node;
  const name = known(String((callee.property as Node).value));
  if (!Object.hasOwn(filters, `.${name}`) || (name === "split" && args.length > 0)) return node;
  return call(`.${name}`, [callee.object, ...args]);
}

function filtered(node: Node): Node {
  const filter = node.filter as Node;
  const name = known(filterName(filter));
  const args = (filter.args as Node[] | undefined) ?? [];
  if (/^(select|reject)attr$/.test(name)) checkSelection(name, args);
  return Object.hasOwn(filters, name) ? call(name, [node.operand, ...args]) : node;
}

/** The library looks for an attribute by its whole name, takes a missing one for none, and has tests of its own. */
function checkSelection(filter: string, [path, test]: readonly Node[]): void {
  const asked = test ? `is ${test.value}` : "";
  const isOther = asked === "is undefined" || Object.hasOwn(operators, asked);
  if (!isOther && !String(path?.value).includes(".")) return;
  throw new UserError(
    `${filter} by an attribute within another, or by what "${asked}" asks, is not computed`,
  );
}

const globals = [
  ...["true", "True", "false", "False", "none", "None", "loop", "caller", "varargs", "kwargs"],
  ...["namespace", "range", "raise_exception", "strftime_now"],
];

/** Names that a template reads before anything in it gives them a value, and without asking whether they are there. */
export function freeNames(program: Node): Set<string> {
  const read = new Set<string>();
  const known = new Set(globals);
  const bind = (target: unknown) => {
    if (!isNode(target)) return;
    if (target.type === "Identifier") known.add(String(target.value));
    else if (Array.isArray(target.value)) target.value.forEach(bind);
    else visit(target);
  };
  const visit = (value: unknown): void => {
    if (Array.isArray(value)) value.forEach(visit);
    else if (value instanceof Map) for (const pair of value) visit(pair);
    if (!isNode(value)) return;
    const { type, operand, filter, test, ...rest } = value as Record<string, unknown> & Node;
    const isGuarded =
      (type === "TestExpression" && /^(un)?defined$/.test(String((test as Node).value))) ||
      (type === "FilterExpression" && /^(default|d)$/.test(filterName(filter as Node)));
    if (isGuarded && isNode(operand) && operand.type === "Identifier")
      known.add(String(operand.value));
    switch (type) {
      case "Identifier":
        read.add(String(value.value));
        return;
      case "MemberExpression":
        visit(value.object);
        if (value.computed) visit(value.property);
        return;
      case "KeywordArgumentExpression":
        visit(value.value);
        return;
      case "TestExpression":
        visit(operand);
        return;
      case "FilterExpression":
      case "FilterStatement":
        visit(operand);
        visit((filter as Node).args);
        visit(value.body);
        return;
      case "Set":
        bind(value.assignee);
        visit(value.value);
        visit(value.body);
        return;
      case "For":
        bind(value.loopvar);
        break;
      case "Macro":
        bind(value.name);
        for (const parameter of value.args as Node[]) bind(parameter.key ?? parameter);
        visit(value.body);
        return;
      case "CallStatement":
        for (const parameter of (value.callerArgs as Node[] | null) ?? [])
          bind(parameter.key ?? parameter);
        break;
    }
    // An operator of letters, as "and", is a token that looks like a name.
    for (const [field, inner] of Object.entries({ ...rest, operand, test }))
      if (!["loopvar", "callerArgs", "operator"].includes(field)) visit(inner);
  };
  visit(program);
  return new Set([...read].filter((name) => !known.has(name)));
}

const filterName = (filter: Node) => String(((filter.callee as Node | undefined) ?? filter).value);
