// Variables that live in TensorFlow, so that a compiled step changes them in place.
import type { FilePlace } from "../formats/fileAccess.ts";
import {
  attribute,
  BFLOAT16,
  backend,
  executeOp,
  FLOAT,
  INT32,
  native,
  readAndDispose,
  type Tensor,
  tf,
} from "./tf.ts";

let created = 0;
const registered = new Map<number, Variable>();

/** The variable behind a resource handle, for the tracer. */
export function variableOfHandle(handle: number): Variable | undefined {
  return registered.get(handle);
}

/**
 * An array that TensorFlow owns. One of float32 is updated in place by ops. One of bf16 holds weights that nothing trains in half the
 * memory: it is widened, exactly, wherever it is used. Whoever makes a variable disposes it.
 */
export class Variable {
  readonly name: string;
  readonly shape: readonly number[];
  readonly type: typeof FLOAT | typeof BFLOAT16;
  /** Id of the resource handle. */
  readonly handle: number;
  /** What VarHandleOp needs to find this variable again, inside a compiled function too. */
  readonly handleAttributes;

  /**
   * @param values row-major; zeros when absent; the place of bf16 numbers in a file makes a variable of bf16
   * @throws Error when the file cannot be read, ends early, or has a number that is not finite
   */
  constructor(name: string, shape: readonly number[], values?: Float32Array | FilePlace) {
    this.name = name;
    this.shape = shape;
    this.type = values === undefined || values instanceof Float32Array ? FLOAT : BFLOAT16;
    this.handleAttributes = [
      attribute.type("dtype", this.type),
      attribute.shape("shape", shape),
      attribute.string("shared_name", `${name}/${created++}`),
      attribute.string("container", ""),
    ];
    this.handle = native.executeOp("VarHandleOp", this.handleAttributes, [], 1)[0]!.id;
    registered.set(this.handle, this);
    try {
      if (values === undefined) this.clear();
      else if (values instanceof Float32Array) this.load(values);
      else this.assign(readBits(values, shape));
    } catch (error) {
      this.dispose();
      throw error;
    }
  }

  get size(): number {
    return this.shape.reduce((product, size) => product * size, 1);
  }

  /**
   * The current value as float32, as a tensor of its own; an in-place change does not alter it.
   *
   * @param after what a compiled step must have made before it widens a variable of bf16: without such a tie TensorFlow widens all
   *   weights of a model at the start of a step, because nothing keeps it from doing so
   */
  read(after: readonly Tensor[] = []): Tensor {
    const id = this.readStored();
    if (this.type === FLOAT)
      return backend.createOutputTensor({ id, shape: [...this.shape], dtype: FLOAT });
    return widened(id, after);
  }

  /** Rows of a matrix of bf16, as float32. @param indices int32 [rows] @returns [rows, columns] */
  readRows(indices: Tensor): Tensor {
    const attributes = [
      attribute.type("dtype", this.type),
      attribute.type("Tindices", INT32),
      attribute.int("batch_dims", 0),
      attribute.bool("validate_indices", true),
    ];
    const inputs = [this.handle, ...backend.getInputTensorIds([indices])];
    const [rows] = executeOp("ResourceGather", attributes, inputs, 1);
    return widened(rows!.id);
  }

  /**
   * The id of the current value as it is held, for ops that take bf16. Whoever asks deletes it; it must not become a tfjs tensor, since
   * tfjs has no such type.
   */
  readStored(): number {
    const attributes = [attribute.type("dtype", this.type)];
    return executeOp("ReadVariableOp", attributes, [this.handle], 1)[0]!.id;
  }

  /** Sets all values to 0. Assigning a given tensor is not offered: TensorFlow would take over memory that others hold. */
  clear(): void {
    tf.tidy(() => this.write("AssignVariableOp", tf.fill([...this.shape], 0)));
  }

  assignAdd(value: Tensor): void {
    this.write("AssignAddVariableOp", value);
  }

  assignSub(value: Tensor): void {
    this.write("AssignSubVariableOp", value);
  }

  /** Replaces the value of a variable of float32 by a copy of `values`. */
  load(values: Float32Array): void {
    if (values.length !== this.size) {
      throw new Error(
        `${this.name}: expected ${this.size} values for [${this.shape}], got ${values.length}`,
      );
    }
    // DeepCopy, because a tensor made from a typed array can share its memory, which JavaScript owns.
    const shared = native.createTensor(this.shape, FLOAT, values);
    const [copy] = native.executeOp("DeepCopy", [attribute.type("T", FLOAT)], [shared], 1);
    native.deleteTensor(shared);
    this.assign(copy!.id);
  }

  /** A copy of the current value as float32, row-major. */
  values(): Float32Array {
    return readAndDispose([this.read()])[0]!; // tf.tidy would look for tensors in every number that it returns
  }

  dispose(): void {
    if (!registered.delete(this.handle)) return;
    native.executeOp(
      "DestroyResourceOp",
      [attribute.bool("ignore_lookup_error", true)],
      [this.handle],
      0,
    );
    native.deleteTensor(this.handle);
  }

  /** Takes over a tensor, which nothing else may hold. */
  private assign(id: number): void {
    const attributes = [attribute.type("dtype", this.type)];
    native.executeOp("AssignVariableOp", attributes, [this.handle, id], 0);
    native.deleteTensor(id);
  }

  private write(name: string, value: Tensor): void {
    const [id] = backend.getInputTensorIds([value]);
    executeOp(name, [attribute.type("dtype", FLOAT)], [this.handle, id!], 0);
  }
}

/** A tensor of bf16, which is deleted, as one of float32. @param after as of `Variable.read` */
function widened(id: number, after: readonly Tensor[] = []): Tensor {
  const attributes = [
    attribute.type("SrcT", BFLOAT16),
    attribute.type("DstT", FLOAT),
    attribute.bool("Truncate", false),
  ];
  const [wide] = executeOp("Cast", attributes, [id], 1, backend.getInputTensorIds(after));
  backend.binding.deleteTensor(id);
  return backend.createOutputTensor(wide!);
}

/** Our own op (native/file.cc) reads from the file into TensorFlow's memory. */
function readBits({ path, begin }: FilePlace, shape: readonly number[]): number {
  const sizes = native.createTensor([shape.length], INT32, Int32Array.from(shape));
  const attributes = [attribute.string("path", path), attribute.int("begin", begin)];
  try {
    return native.executeOp("ReadBfloat16", attributes, [sizes], 1)[0]!.id;
  } finally {
    native.deleteTensor(sizes);
  }
}
