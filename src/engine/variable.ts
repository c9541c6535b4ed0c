// Variables that live in TensorFlow, so that a compiled step changes them in place.
import { attribute, backend, executeOp, FLOAT, native, type Tensor, take, tf } from "./tf.ts";

let created = 0;
const registered = new Map<number, Variable>();

/** The variable behind a resource handle, for the tracer. */
export function variableOfHandle(handle: number): Variable | undefined {
  return registered.get(handle);
}

/** A float32 array that TensorFlow owns and that ops update in place. Whoever makes it disposes it. */
export class Variable {
  readonly name: string;
  readonly shape: readonly number[];
  /** Id of the resource handle. */
  readonly handle: number;
  /** What VarHandleOp needs to find this variable again, inside a compiled function too. */
  readonly handleAttributes;

  /** @param values row-major; zeros when absent */
  constructor(name: string, shape: readonly number[], values?: Float32Array) {
    this.name = name;
    this.shape = shape;
    this.handleAttributes = [
      attribute.type("dtype", FLOAT),
      attribute.shape("shape", shape),
      attribute.string("shared_name", `${name}/${created++}`),
      attribute.string("container", ""),
    ];
    this.handle = native.executeOp("VarHandleOp", this.handleAttributes, [], 1)[0]!.id;
    registered.set(this.handle, this);
    if (values === undefined) this.clear();
    else this.load(values);
  }

  get size(): number {
    return this.shape.reduce((product, size) => product * size, 1);
  }

  /** The current value, as a tensor of its own; an in-place change does not alter it. */
  read(): Tensor {
    const [info] = executeOp("ReadVariableOp", [attribute.type("dtype", FLOAT)], [this.handle], 1);
    return backend.createOutputTensor(info!);
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

  /** Replaces the value by a copy of `values`. */
  load(values: Float32Array): void {
    if (values.length !== this.size) {
      throw new Error(
        `${this.name}: expected ${this.size} values for [${this.shape}], got ${values.length}`,
      );
    }
    // DeepCopy, because a tensor made from a typed array shares its memory, which JavaScript owns.
    const shared = native.createTensor(this.shape, FLOAT, values);
    const [copy] = native.executeOp("DeepCopy", [attribute.type("T", FLOAT)], [shared], 1);
    native.executeOp(
      "AssignVariableOp",
      [attribute.type("dtype", FLOAT)],
      [this.handle, copy!.id],
      0,
    );
    native.deleteTensor(shared);
    native.deleteTensor(copy!.id);
  }

  /** A copy of the current value, row-major. */
  values(): Float32Array {
    return take([this.read()])[0]!; // tf.tidy would look for tensors in every number that it returns
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

  private write(name: string, value: Tensor): void {
    const [id] = backend.getInputTensorIds([value]);
    executeOp(name, [attribute.type("dtype", FLOAT)], [this.handle, id!], 0);
  }
}
