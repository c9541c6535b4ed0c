// Traces a step once per shape of its inputs and runs it from then on as one TensorFlow function.
//
// While a step is traced, the backend's binding is replaced by one that records: each op becomes a node of a graph, with its
// shape from TensorFlow's inference. tfjs's autodiff runs as usual, so gradients and updates are in the graph too.
import {
  type Attribute,
  attribute,
  type Binding,
  backend,
  type Graph,
  type Inputs,
  native,
  type Tensor,
  type TensorInfo,
  tf,
  typeNumber,
} from "./tf.ts";
import { variableOfHandle } from "./variable.ts";

/** A step over tensors alone: no reading back, no tensors from outside but its inputs; variables are free to use. */
type Step = (...inputs: Tensor[]) => Tensor[];

/** Like the step, but compiled: one traced function per shapes and types of the inputs. The caller owns the outputs. */
export interface Compiled {
  (...inputs: Tensor[]): Tensor[];
  dispose(): void;
}

interface Traced {
  readonly name: string;
  readonly outputs: number;
  /** The variables that it uses, which follow its inputs. */
  readonly handles: readonly number[];
}

let functions = 0;

/** Functions traced so far in this process, by all compiled steps; constant once every shape has been seen. */
export function tracedFunctions(): number {
  return functions;
}

/**
 * Compiles a step.
 *
 * @param name appears in TensorFlow's error messages
 * @throws Error during the first call of a shape when the step reads data back or uses a tensor that is not an input
 */
export function compile(name: string, step: Step): Compiled {
  const traced = new Map<string, Traced>();

  const run = (...inputs: Tensor[]): Tensor[] => {
    const key = inputs.map((input) => `${input.dtype}[${input.shape}]`).join(" ");
    let entry = traced.get(key);
    if (!entry) {
      entry = trace(`${name}_${functions++}`, step, inputs);
      traced.set(key, entry);
    }
    const infos = native.executeOp(
      entry.name,
      [],
      [...backend.getInputTensorIds(inputs), ...entry.handles],
      entry.outputs,
    );
    return infos.map((info) => backend.createOutputTensor(info));
  };
  return Object.assign(run, {
    dispose: () => {
      for (const { name: functionName } of traced.values()) native.removeFunction(functionName);
      traced.clear();
    },
  });
}

export type Tensors = Readonly<Record<string, Tensor>>;

/** As Compiled, with tensors by name. Every call gives the same names. */
export interface NamedCompiled<Inputs extends Tensors, Outputs extends Tensors> {
  (inputs: Inputs): Outputs;
  dispose(): void;
}

/** Compiles a step whose inputs and outputs have names, so that neither side knows an order. */
export function compileNamed<Inputs extends Tensors, Outputs extends Tensors>(
  name: string,
  step: (inputs: Inputs) => Outputs,
): NamedCompiled<Inputs, Outputs> {
  let inputNames: readonly string[] = []; // of the first call
  let outputNames: readonly string[] = []; // of the last trace
  const byName = (names: readonly string[], tensors: readonly Tensor[]) =>
    Object.fromEntries(names.map((key, i) => [key, tensors[i]!]));
  const compiled = compile(name, (...inputs) => {
    const outputs = step(byName(inputNames, inputs) as Inputs);
    outputNames = Object.keys(outputs);
    return Object.values(outputs);
  });
  const run = (inputs: Inputs) => {
    if (inputNames.length === 0) inputNames = Object.keys(inputs);
    const outputs = compiled(...inputNames.map((key) => inputs[key]!));
    return byName(outputNames, outputs) as Outputs;
  };
  return Object.assign(run, { dispose: compiled.dispose });
}

/** Records `step` over placeholders shaped like `inputs` and defines it as the function `name`. */
function trace(name: string, step: Step, inputs: readonly Tensor[]): Traced {
  if (backend.binding !== native)
    throw new Error(`${name}: a compiled step cannot trace another one`);
  const graph = native.graphNew();
  const recorder = createRecorder(graph);
  const fromOutside = watchOutsideTensors();
  backend.binding = recorder.binding;
  try {
    return tf.tidy(() => {
      const placeholders = inputs.map((input) =>
        backend.createOutputTensor(native.graphInput(graph, typeNumber(input.dtype), input.shape)),
      );
      const inputIds = backend.getInputTensorIds(placeholders);
      const outputs = step(...placeholders);
      // Identity, because a function's output may be neither one of its inputs nor given twice.
      const outputIds = backend.getInputTensorIds(outputs).map((id, i) => {
        const type = attribute.type("T", typeNumber(outputs[i]!.dtype));
        return recorder.binding.executeOp("Identity", [type], [id], 1)[0]!.id;
      });
      // Variables are inputs, too: XLA compiles no function that looks them up by itself.
      const { handles, writes } = recorder;
      const handleIds = [...handles.values()].map(({ id }) => id);
      native.graphDefine(graph, name, [...inputIds, ...handleIds], outputIds, writes);
      tf.dispose(outputs); // a step may have kept them from an inner tidy
      return { name, outputs: outputs.length, handles: [...handles.keys()] };
    });
  } catch (error) {
    throw new Error(`compiling ${name}: ${error instanceof Error ? error.message : error}`, {
      cause: error,
    });
  } finally {
    backend.binding = native;
    fromOutside.restore();
  }
}

/** Ops on a variable that leave it as it is. */
const readingOps = new Set(["ReadVariableOp", "ResourceGather"]);

/** A variable's place in a graph, and the control ids of the ops on it. */
interface Handle {
  readonly id: number;
  lastWrite: number[];
  readsSince: number[];
}

/** What writes ops into a graph. */
interface Recorder {
  /** Takes the place of the binding that runs them. */
  readonly binding: Binding;
  /** The variables in the graph, by the ids of their handles. */
  readonly handles: ReadonlyMap<number, Handle>;
  /** Control ids of the ops that change a variable. */
  readonly writes: readonly number[];
}

function createRecorder(graph: Graph): Recorder {
  const handles = new Map<number, Handle>();
  const writes: number[] = [];
  let lastCollective: number[] = [];

  const handleOf = (id: number) => {
    let handle = handles.get(id);
    if (!handle) {
      const variable = variableOfHandle(id);
      if (!variable) {
        throw new Error(
          "a tensor made outside the step was used in it: pass it as an input, or make it in the step",
        );
      }
      const [info] = native.graphOp(graph, "VarHandleOp", variable.handleAttributes, [], 1, []);
      handle = { id: (info as TensorInfo).id, lastWrite: [], readsSince: [] };
      handles.set(id, handle);
    }
    return handle;
  };

  const executeOp = (
    name: string,
    attributes: readonly Attribute[],
    inputs: Inputs,
    outputs: number,
    after: readonly number[] = [],
  ) => {
    // Ops on a variable keep the order of the program: a read follows the last write, a write follows it and all reads since.
    const isRead = readingOps.has(name);
    const used = inputs
      .flat()
      .filter((id) => id >= 0)
      .map(handleOf);
    const order = used.flatMap(({ lastWrite, readsSince }) =>
      isRead ? lastWrite : [...lastWrite, ...readsSince],
    );
    const inGraph = (id: number) => (id >= 0 ? handleOf(id).id : id);
    const ids = inputs.map((input) =>
      typeof input === "number" ? inGraph(input) : input.map(inGraph),
    );
    // Ops in which several processes take part have one order in all of them, or two may wait for each other.
    const isCollective = name.startsWith("Collective");
    if (isCollective) order.push(...lastCollective);
    const result = native.graphOp(graph, name, attributes, ids, outputs, [...order, ...after]);
    const control = result.pop() as number;
    if (isCollective) lastCollective = [control];
    for (const handle of used) {
      if (isRead) {
        handle.readsSince.push(control);
      } else {
        handle.lastWrite = [control];
        handle.readsSince = [];
        writes.push(control);
      }
    }
    return result as TensorInfo[];
  };

  const binding: Binding = {
    ...Object.fromEntries(
      Object.getOwnPropertyNames(native).map((key) => [key, native[key as keyof Binding]]),
    ),
    createTensor: (shape: readonly number[], dtype: number, values: unknown) =>
      native.graphConst(graph, shape, dtype, values).id,
    deleteTensor: () => {},
    tensorDataSync: () => {
      throw new Error(`${readingOp()} reads data back, which a compiled step cannot do`);
    },
    executeOp,
  } as unknown as Binding;
  return { binding, handles, writes };
}

/** The tfjs op or kernel on the stack that asked for the data, for the error message. */
function readingOp(): string {
  const frames = new Error().stack?.split("\n").slice(1) ?? [];
  const kernel = frames
    .map((line) => /kernels[\\/](\w+)\.js/.exec(line)?.[1])
    .find((name) => name !== undefined);
  const method = frames
    .map((line) => /\.(dataSync|arraySync|data|array|print)\b/.exec(line)?.[1])
    .find(Boolean);
  return kernel ? `the op ${kernel}` : `${method ?? "the step"}()`;
}

/**
 * Tensors from values are created lazily, at their first use. One made before the trace and first used in it would silently
 * become a constant of the graph, so that is refused like any other tensor from outside.
 */
function watchOutsideTensors(): { restore: () => void } {
  const { move, getInputTensorIds } = backend;
  const inside = new WeakSet<object>();
  backend.move = (dataId, ...rest) => {
    inside.add(dataId);
    move.call(backend, dataId, ...rest);
  };
  backend.getInputTensorIds = (tensors) => {
    for (const tensor of tensors) {
      const info = tensor.dataId && backend.tensorMap.get(tensor.dataId);
      if (info && info.values !== null && !inside.has(tensor.dataId)) {
        throw new Error(
          `a tensor [${tensor.shape}] made outside the step was used in it: pass it as an input, or make it in the step`,
        );
      }
    }
    return getInputTensorIds.call(backend, tensors as Tensor[]);
  };
  return {
    restore: () => {
      backend.move = move;
      backend.getInputTensorIds = getInputTensorIds;
    },
  };
}
