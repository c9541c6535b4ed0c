// Building TensorFlow graphs and functions from JavaScript: what tf.function is to Python.
#ifndef REFT_NATIVE_GRAPH_H_
#define REFT_NATIVE_GRAPH_H_

#include <node_api.h>

#include "tensorflow/c/eager/c_api.h"

namespace tfnodejs {

// Adds the functions that build a graph, define it as a TensorFlow function and remove it to the binding's exports.
void RegisterGraphFunctions(napi_env env, napi_value exports, TFE_Context *context);

}  // namespace tfnodejs

#endif  // REFT_NATIVE_GRAPH_H_
