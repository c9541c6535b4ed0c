// Building TensorFlow graphs and functions from JavaScript.
//
// A graph is recorded op by op through TensorFlow's own C API, so every op's output shape and type come from TensorFlow's shape
// inference: nothing is computed and no tensor is allocated while a step is traced. The finished graph becomes one function
// that the eager context runs by name, like any op.
#include "graph.h"

#include <cstdint>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <vector>

#include "napi.h"
#include "tensorflow/c/c_api.h"
#include "tsl/platform/tensor_float_32_utils.h"

namespace tfnodejs {

// Defined in the package's tfjs_backend.cc: reads a typed array or an array of numbers, strings, booleans.
TFE_TensorHandle *CreateTFE_TensorHandleFromJSValues(napi_env env, int64_t *shape, uint32_t shape_length,
                                                     TF_DataType dtype, napi_value array_value);

namespace {

struct Graph {
  TF_Graph *raw = TF_NewGraph();
  std::vector<TF_Output> values;  // every op output; its id in JavaScript is kFirstId - index
  int64_t names = 0;
  ~Graph() { TF_DeleteGraph(raw); }
};

// tfjs uses -1 for "not on the device yet" and deletes ids >= 0 only, so a graph's values are the ids from -2 down.
constexpr int64_t kFirstId = -2;

// tfjs gives the inputs of its ops without saying which of them are a list: how many of the trailing inputs are *not* part of it.
const std::unordered_map<std::string, int> kListOps = {
    {"AddN", 0}, {"ConcatV2", 1}, {"Einsum", 0}, {"IdentityN", 0}, {"Pack", 0}};

int64_t IntOf(napi_env env, napi_value value) {
  int64_t number = 0;
  Ok(napi_get_value_int64(env, value, &number), "reading an integer");
  return number;
}

double DoubleOf(napi_env env, napi_value value) {
  double number = 0;
  Ok(napi_get_value_double(env, value, &number), "reading a number");
  return number;
}

bool BoolOf(napi_env env, napi_value value) {
  bool flag = false;
  Ok(napi_get_value_bool(env, value, &flag), "reading a boolean");
  return flag;
}

bool IsArray(napi_env env, napi_value value) {
  bool is_array = false;
  Ok(napi_is_array(env, value, &is_array), "reading an array");
  return is_array;
}

template <typename Read>
auto ListOf(napi_env env, napi_value array, Read read) -> std::vector<decltype(read(env, array))> {
  uint32_t length = 0;
  Ok(napi_get_array_length(env, array, &length), "reading an array");
  std::vector<decltype(read(env, array))> list;
  list.reserve(length);
  for (uint32_t i = 0; i < length; i++) {
    napi_value element;
    Ok(napi_get_element(env, array, i, &element), "reading an array");
    list.push_back(read(env, element));
  }
  return list;
}

napi_value Property(napi_env env, napi_value object, const char *name) {
  napi_value value;
  Ok(napi_get_named_property(env, object, name, &value), name);
  return value;
}

Graph *GraphOf(napi_env env, napi_value external) {
  void *graph = nullptr;
  Ok(napi_get_value_external(env, external, &graph), "reading a graph");
  return static_cast<Graph *>(graph);
}

TF_Output ValueOf(const Graph &graph, int64_t id) {
  const int64_t index = kFirstId - id;
  if (index < 0 || index >= static_cast<int64_t>(graph.values.size()))
    throw std::runtime_error("tensor id " + std::to_string(id) + " is not part of the graph");
  return graph.values[index];
}

void SetAttribute(napi_env env, TF_OperationDescription *op, napi_value attribute) {
  const std::string name = StringOf(env, Property(env, attribute, "name"));
  const auto type = static_cast<TF_AttrType>(IntOf(env, Property(env, attribute, "type")));
  const napi_value value = Property(env, attribute, "value");
  switch (type) {
    case TF_ATTR_STRING: {
      const std::string text = StringOf(env, value);
      TF_SetAttrString(op, name.c_str(), text.data(), text.size());
      return;
    }
    case TF_ATTR_INT:
      if (IsArray(env, value)) {
        const auto list = ListOf(env, value, IntOf);
        TF_SetAttrIntList(op, name.c_str(), list.data(), static_cast<int>(list.size()));
      } else {
        TF_SetAttrInt(op, name.c_str(), IntOf(env, value));
      }
      return;
    case TF_ATTR_FLOAT:
      TF_SetAttrFloat(op, name.c_str(), static_cast<float>(DoubleOf(env, value)));
      return;
    case TF_ATTR_BOOL:
      TF_SetAttrBool(op, name.c_str(), BoolOf(env, value) ? 1 : 0);
      return;
    case TF_ATTR_TYPE:
      TF_SetAttrType(op, name.c_str(), static_cast<TF_DataType>(IntOf(env, value)));
      return;
    case TF_ATTR_SHAPE: {
      const auto shape = ListOf(env, value, IntOf);
      TF_SetAttrShape(op, name.c_str(), shape.data(), static_cast<int>(shape.size()));
      return;
    }
    default:
      throw std::runtime_error("attribute " + name + ": type " + std::to_string(type) + " is not supported in a graph");
  }
}

/** Inputs as an op's definition has them: one value, or a list of them. */
struct OpInput {
  std::vector<TF_Output> values;
  bool is_list;
};

/** Numbers and arrays of numbers. */
std::vector<OpInput> InputsOf(napi_env env, const Graph &graph, napi_value array, const std::string &name) {
  std::vector<OpInput> inputs = ListOf(env, array, [&](napi_env, napi_value element) {
    OpInput input{{}, IsArray(env, element)};
    if (!input.is_list) input.values.push_back(ValueOf(graph, IntOf(env, element)));
    else
      for (int64_t id : ListOf(env, element, IntOf)) input.values.push_back(ValueOf(graph, id));
    return input;
  });
  const auto list = kListOps.find(name);
  if (list == kListOps.end()) return inputs;
  const size_t singles = list->second;
  if (inputs.size() < singles) throw std::runtime_error(name + ": too few inputs");
  OpInput first{{}, true};
  for (size_t i = 0; i + singles < inputs.size(); i++) first.values.push_back(inputs[i].values.at(0));
  inputs.erase(inputs.begin(), inputs.end() - singles);
  inputs.insert(inputs.begin(), first);
  return inputs;
}

// {id, shape, dtype} of one output, as the binding's executeOp returns it; remembers the output under that id.
napi_value Remember(napi_env env, Graph *graph, TF_Output output, const std::string &op_name) {
  Status status;
  napi_value info, id, dtype, shape, size;
  Ok(napi_create_object(env, &info), "creating an object");
  Ok(napi_create_int64(env, kFirstId - static_cast<int64_t>(graph->values.size()), &id), "creating an id");
  graph->values.push_back(output);
  const TF_DataType type = TF_OperationOutputType(output);
  Ok(napi_create_int32(env, type, &dtype), "creating a type");
  const int rank = TF_GraphGetTensorNumDims(graph->raw, output, status.raw);
  status.Check(op_name);
  if (rank < 0 && type != TF_RESOURCE)
    throw std::runtime_error(op_name + ": its output's rank depends on data, which a compiled function cannot have");
  std::vector<int64_t> dims(rank < 0 ? 0 : rank);
  TF_GraphGetTensorShape(graph->raw, output, dims.data(), static_cast<int>(dims.size()), status.raw);
  status.Check(op_name);
  Ok(napi_create_array_with_length(env, dims.size(), &shape), "creating a shape");
  for (size_t i = 0; i < dims.size(); i++) {
    if (dims[i] < 0)
      throw std::runtime_error(op_name + ": its output's shape depends on data, which a compiled function cannot have");
    Ok(napi_create_int64(env, dims[i], &size), "creating a shape");
    Ok(napi_set_element(env, shape, i, size), "creating a shape");
  }
  Ok(napi_set_named_property(env, info, "id", id), "id");
  Ok(napi_set_named_property(env, info, "shape", shape), "shape");
  Ok(napi_set_named_property(env, info, "dtype", dtype), "dtype");
  return info;
}

std::string NextName(Graph *graph, const char *prefix) { return prefix + std::to_string(graph->names++); }

// graphNew() -> graph
napi_value New(napi_env env, napi_value *, TFE_Context *) {
  napi_value external;
  Ok(napi_create_external(
         env, new Graph, [](napi_env, void *graph, void *) { delete static_cast<Graph *>(graph); }, nullptr, &external),
     "creating a graph");
  return external;
}

// graphInput(graph, dtype, shape) -> {id, shape, dtype}
napi_value Input(napi_env env, napi_value *args, TFE_Context *) {
  Graph *graph = GraphOf(env, args[0]);
  const auto shape = ListOf(env, args[2], IntOf);
  TF_OperationDescription *op = TF_NewOperation(graph->raw, "Placeholder", NextName(graph, "arg").c_str());
  TF_SetAttrType(op, "dtype", static_cast<TF_DataType>(IntOf(env, args[1])));
  TF_SetAttrShape(op, "shape", shape.data(), static_cast<int>(shape.size()));
  Status status;
  TF_Operation *placeholder = TF_FinishOperation(op, status.raw);
  status.Check("Placeholder");
  return Remember(env, graph, TF_Output{placeholder, 0}, "Placeholder");
}

// graphConst(graph, shape, dtype, values) -> {id, shape, dtype}
napi_value Const(napi_env env, napi_value *args, TFE_Context *) {
  Graph *graph = GraphOf(env, args[0]);
  auto shape = ListOf(env, args[1], IntOf);
  const auto dtype = static_cast<TF_DataType>(IntOf(env, args[2]));
  TFE_TensorHandle *handle = CreateTFE_TensorHandleFromJSValues(env, shape.data(), shape.size(), dtype, args[3]);
  if (handle == nullptr) throw std::runtime_error("Const: the values do not fit shape and type");
  Status status;
  TF_Tensor *tensor = TFE_TensorHandleResolve(handle, status.raw);
  TF_OperationDescription *op = TF_NewOperation(graph->raw, "Const", NextName(graph, "const").c_str());
  TF_SetAttrType(op, "dtype", dtype);
  if (tensor != nullptr) TF_SetAttrTensor(op, "value", tensor, status.raw);
  TF_Operation *constant = TF_FinishOperation(op, status.raw);
  if (tensor != nullptr) TF_DeleteTensor(tensor);
  TFE_DeleteTensorHandle(handle);
  status.Check("Const");
  return Remember(env, graph, TF_Output{constant, 0}, "Const");
}

// graphOp(graph, name, attributes, inputIds, outputCount, controlIds) -> [{id, shape, dtype}] and, at index outputCount, the id
// by which a later op can name this one as a control input. Where the op has a list of inputs, inputIds has an array.
napi_value Op(napi_env env, napi_value *args, TFE_Context *) {
  Graph *graph = GraphOf(env, args[0]);
  const std::string name = StringOf(env, args[1]);
  const std::vector<OpInput> inputs = InputsOf(env, *graph, args[3], name);
  const int64_t count = IntOf(env, args[4]);
  std::vector<TF_Output> controls;
  for (int64_t id : ListOf(env, args[5], IntOf)) controls.push_back(ValueOf(*graph, id));

  uint32_t attribute_count = 0;
  Ok(napi_get_array_length(env, args[2], &attribute_count), "reading attributes");
  TF_OperationDescription *op = TF_NewOperation(graph->raw, name.c_str(), NextName(graph, "op").c_str());
  for (uint32_t i = 0; i < attribute_count; i++) {
    napi_value attribute;
    Ok(napi_get_element(env, args[2], i, &attribute), "reading attributes");
    SetAttribute(env, op, attribute);
  }
  for (const auto &[values, is_list] : inputs) {
    if (is_list) TF_AddInputList(op, values.data(), static_cast<int>(values.size()));
    else TF_AddInput(op, values[0]);
  }
  for (const TF_Output &control : controls) TF_AddControlInput(op, control.oper);
  Status status;
  TF_Operation *node = TF_FinishOperation(op, status.raw);
  status.Check(name);

  napi_value infos;
  Ok(napi_create_array_with_length(env, count + 1, &infos), "creating outputs");
  for (int64_t i = 0; i < count; i++)
    Ok(napi_set_element(env, infos, i, Remember(env, graph, TF_Output{node, static_cast<int>(i)}, name)), "outputs");
  napi_value control_id;
  Ok(napi_create_int64(env, kFirstId - static_cast<int64_t>(graph->values.size()), &control_id), "creating an id");
  graph->values.push_back(TF_Output{node, 0});
  Ok(napi_set_element(env, infos, count, control_id), "outputs");
  return infos;
}

// graphDefine(graph, name, inputIds, outputIds, controlIds): the graph becomes a function that executeOp runs by name. The ops
// named by controlIds run even where no output depends on them.
napi_value Define(napi_env env, napi_value *args, TFE_Context *context) {
  Graph *graph = GraphOf(env, args[0]);
  const std::string name = StringOf(env, args[1]);
  std::vector<TF_Output> inputs, outputs;
  for (int64_t id : ListOf(env, args[2], IntOf)) inputs.push_back(ValueOf(*graph, id));
  for (int64_t id : ListOf(env, args[3], IntOf)) outputs.push_back(ValueOf(*graph, id));
  std::vector<TF_Operation *> controls;
  std::vector<std::string> control_names;
  for (int64_t id : ListOf(env, args[4], IntOf)) {
    controls.push_back(ValueOf(*graph, id).oper);
    control_names.push_back("control" + std::to_string(controls.size()));
  }
  std::vector<const char *> control_name_pointers;
  for (const std::string &control : control_names) control_name_pointers.push_back(control.c_str());
  Status status;
  TF_Function *function = TF_GraphToFunctionWithControlOutputs(
      graph->raw, name.c_str(), 0, -1, nullptr, static_cast<int>(inputs.size()), inputs.data(),
      static_cast<int>(outputs.size()), outputs.data(), nullptr, static_cast<int>(controls.size()), controls.data(),
      control_name_pointers.data(), nullptr, nullptr, status.raw);
  status.Check("defining " + name);
  TFE_ContextAddFunction(context, function, status.raw);
  TF_DeleteFunction(function);
  status.Check("adding " + name);
  return nullptr;
}

// removeFunction(name): frees a function that is no longer called.
napi_value Remove(napi_env env, napi_value *args, TFE_Context *context) {
  Status status;
  const std::string name = StringOf(env, args[0]);
  TFE_ContextRemoveFunction(context, name.c_str(), status.raw);
  status.Check("removing " + name);
  return nullptr;
}

// setTensorFloat32(enabled): whether a GPU's matrix products round their float32 inputs to TF32's 10 bits of mantissa.
napi_value SetTensorFloat32(napi_env env, napi_value *args, TFE_Context *) {
  bool enabled = false;
  Ok(napi_get_value_bool(env, args[0], &enabled), "setTensorFloat32");
  tsl::enable_tensor_float_32_execution(enabled);
  return nullptr;
}

template <napi_value (*Function)(napi_env, napi_value *, TFE_Context *), size_t kArguments>
constexpr napi_callback kGraphFunction = Guarded<TFE_Context, Function, kArguments>;

}  // namespace

void RegisterGraphFunctions(napi_env env, napi_value exports, TFE_Context *context) {
  const auto method = [context](const char *name, napi_callback callback) {
    return napi_property_descriptor{name, nullptr, callback, nullptr, nullptr, nullptr, napi_default, context};
  };
  const napi_property_descriptor methods[] = {
      method("graphNew", kGraphFunction<New, 0>),   method("graphInput", kGraphFunction<Input, 3>),
      method("graphConst", kGraphFunction<Const, 4>), method("graphOp", kGraphFunction<Op, 6>),
      method("graphDefine", kGraphFunction<Define, 5>), method("removeFunction", kGraphFunction<Remove, 1>),
      method("setTensorFloat32", kGraphFunction<SetTensorFloat32, 1>)};
  napi_define_properties(env, exports, sizeof(methods) / sizeof(methods[0]), methods);
}

}  // namespace tfnodejs
