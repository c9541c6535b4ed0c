// The one place where TensorFlow enters: joins tfjs with the backend that the set-up has made of @tensorflow/tfjs-node-gpu, and
// gives typed access to the layer below it, where ops are called by name and tensors are numbered handles.
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import util from "node:util";
import type * as TensorFlow from "@tensorflow/tfjs";
import { messageOf, UserError } from "../errors.ts";
import { madeBySetup, setupAdvice } from "../setup.ts";

export type Tensor = TensorFlow.Tensor;

/** One attribute of an op, as the binding takes it. */
export interface Attribute {
  readonly name: string;
  readonly type: number;
  readonly value: unknown;
}

/** What the binding says about a tensor that an op made. */
export interface TensorInfo {
  readonly id: number;
  readonly shape: number[];
  readonly dtype: number;
}

/** A TensorFlow graph under construction; see native/graph.cc. */
export type Graph = object & { readonly __graph: unique symbol };

/** Ids of an op's inputs; an array where the op has a list of them. The binding that computes takes flat ones alone. */
export type Inputs = readonly (number | readonly number[])[];

/** The native binding: the package's own functions and those of native/graph.cc. */
export interface Binding {
  readonly TF_Version: string;
  createTensor(shape: readonly number[], dtype: number, values: unknown): number;
  deleteTensor(id: number): void;
  tensorDataSync(id: number): Float32Array | Int32Array | Uint8Array;
  executeOp(
    name: string,
    attributes: readonly Attribute[],
    inputs: Inputs,
    outputs: number,
    after?: readonly number[],
  ): TensorInfo[];
  getNumOfTensors(): number;
  setNextTensorId(id: number): void;
  graphNew(): Graph;
  graphInput(graph: Graph, dtype: number, shape: readonly number[]): TensorInfo;
  graphConst(graph: Graph, shape: readonly number[], dtype: number, values: unknown): TensorInfo;
  /** The outputs' infos, then the id by which a later op names this one as a control input. */
  graphOp(
    graph: Graph,
    name: string,
    attributes: readonly Attribute[],
    inputs: Inputs,
    outputs: number,
    controls: readonly number[],
  ): [...TensorInfo[], number];
  graphDefine(
    graph: Graph,
    name: string,
    inputs: readonly number[],
    outputs: readonly number[],
    controls: readonly number[],
  ): void;
  removeFunction(name: string): void;
  setTensorFloat32(enabled: boolean): void;
  /** See native/cluster.cc. */
  clusterJoin(serverDef: string, task: string): void;
  clusterReport(message: string): void;
}

/** The part of tfjs-node's backend that we rely on. */
export interface Backend {
  binding: Binding;
  readonly isUsingGpuDevice: boolean;
  tensorMap: {
    get(dataId: object): { values: unknown; id: number; shape: number[]; dtype: number };
  };
  getInputTensorIds(tensors: readonly Tensor[]): number[];
  createOutputTensor(info: TensorInfo): Tensor;
  move(dataId: object, ...rest: unknown[]): void;
}

/** TensorFlow's type numbers (tensorflow/core/framework/types.proto). */
export const FLOAT = 1;
export const INT32 = 3;
export const BOOL = 10;
export const BFLOAT16 = 14;

// The type numbers of attributes (TF_AttrType in tensorflow/c/c_api.h).
const ATTRIBUTE = { string: 0, int: 1, float: 2, bool: 3, type: 4, shape: 5 } as const;

export const attribute = {
  string: (name: string, value: string): Attribute => ({ name, type: ATTRIBUTE.string, value }),
  int: (name: string, value: number | readonly number[]): Attribute => ({
    name,
    type: ATTRIBUTE.int,
    value,
  }),
  float: (name: string, value: number): Attribute => ({ name, type: ATTRIBUTE.float, value }),
  bool: (name: string, value: boolean): Attribute => ({ name, type: ATTRIBUTE.bool, value }),
  type: (name: string, value: number): Attribute => ({ name, type: ATTRIBUTE.type, value }),
  shape: (name: string, value: readonly number[]): Attribute => ({
    name,
    type: ATTRIBUTE.shape,
    value,
  }),
};

export const tf = loadTensorFlow();
export const backend = tf.backend() as unknown as Backend;
/** The binding that computes; `backend.binding` is another one while a step is traced. */
export const native: Binding = backend.binding;
/** Whether this process computes with the native ops of native/, which are for CPUs: asked wherever CPUs and GPUs part. */
export const usesNativeOps = !backend.isUsingGpuDevice;
/** Whether the set-up is for GPUs, but none is in use. */
export const lacksGpu = existsSync(madeBySetup("site/nvidia")) && usesNativeOps;
// TensorFlow's default on a GPU is TF32 where float32 is asked for: errors of 1e-3 where 1e-6 is meant.
native.setTensorFloat32(false);

function loadTensorFlow(): typeof TensorFlow {
  // The package calls two functions of `util` that Node 22 warns about (DEP0044, DEP0051); Node 23
  // dropped the second one.
  const legacy = util as unknown as Record<string, unknown>;
  legacy.isArray = Array.isArray;
  legacy.isNullOrUndefined = (value: unknown) => value === null || value === undefined;
  process.env.TF_CPP_MIN_LOG_LEVEL ??= "2"; // warnings about CPU features and missing GPUs
  // By itself TensorFlow uses oneDNN's kernels on some CPUs only; they are the faster ones on all (docs/performance.md).
  process.env.TF_ENABLE_ONEDNN_OPTS ??= "1";
  process.env.TF_FORCE_GPU_ALLOW_GROWTH ??= "true"; // else the first process takes all of a GPU's memory
  try {
    return withNativeBackend();
  } catch (error) {
    const reason = messageOf(error).split("\n")[0];
    throw new UserError(`TensorFlow could not be loaded (${reason}). ${setupAdvice()}`, {
      cause: error,
    });
  }
}

/** What tfjs-node-gpu's index.js does, with the binding where the set-up has put it, and without what only its users need. */
function withNativeBackend(): typeof TensorFlow {
  const require = createRequire(import.meta.url);
  require(madeBySetup("quiet.node")); // native/quiet.cc
  const binding: Binding = require(madeBySetup("tfjs_binding.node"));
  if (!("clusterJoin" in binding)) throw new Error("an older binding was found");
  const { NodeJSKernelBackend } = require(madeBySetup("tfjs-node-gpu/dist/nodejs_kernel_backend"));
  require(madeBySetup("tfjs-node-gpu/dist/register_all_kernels"));
  const loaded: typeof TensorFlow = require("@tensorflow/tfjs");
  const started = new NodeJSKernelBackend(binding, "@tensorflow/tfjs-node-gpu");
  loaded.registerBackend("tensorflow", () => started);
  void loaded.setBackend("tensorflow"); // done when it returns, because the backend is there already
  loaded.enableProdMode();
  return loaded;
}

/**
 * Runs one op on tensor ids; works alike eagerly and while a step is traced.
 *
 * @param after ids of tensors that a compiled step must have made before the op runs; an op by itself runs at once anyway
 */
export function executeOp(
  name: string,
  attributes: readonly Attribute[],
  inputs: Inputs,
  outputs: number,
  after: readonly number[] = [],
): TensorInfo[] {
  const { binding } = backend;
  if (binding === native) return native.executeOp(name, attributes, inputs.flat(), outputs);
  return binding.executeOp(name, attributes, inputs, outputs, after);
}

/** Runs one op with one output on tensors. */
export function op(
  name: string,
  attributes: readonly Attribute[],
  inputs: readonly Tensor[],
): Tensor {
  return ops(name, attributes, inputs, 1)[0]!;
}

/** Runs one op with several outputs on tensors. */
export function ops(
  name: string,
  attributes: readonly Attribute[],
  inputs: readonly Tensor[],
  outputs: number,
): Tensor[] {
  return executeOp(name, attributes, backend.getInputTensorIds(inputs), outputs).map((info) =>
    backend.createOutputTensor(info),
  );
}

/** TensorFlow's number of a tfjs data type. */
export function typeNumber(dtype: string): number {
  if (dtype === "float32") return FLOAT;
  if (dtype === "int32") return INT32;
  if (dtype === "bool") return BOOL;
  throw new Error(`typeNumber: expected float32, int32 or bool, got ${dtype}`);
}

/** Reads tensors back and disposes them. */
export function readAndDispose(tensors: readonly Tensor[]): Float32Array[] {
  return tensors.map((tensor) => {
    const values = Float32Array.from(tensor.dataSync());
    tensor.dispose();
    return values;
  });
}

/** Tensors alive, in tfjs and below it. Constant from step to step unless something leaks. */
export function liveTensors(): number {
  return Math.max(tf.memory().numTensors, native.getNumOfTensors());
}
