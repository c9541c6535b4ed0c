// Joining other processes, so that collective ops inside compiled functions reach them: what tf.distribute is to Python.
#ifndef REFT_NATIVE_CLUSTER_H_
#define REFT_NATIVE_CLUSTER_H_

#include <node_api.h>

namespace tfnodejs {

class TFJSBackend;

// Adds clusterJoin and clusterReport to the binding's exports.
void RegisterClusterFunctions(napi_env env, napi_value exports, TFJSBackend *backend);

}  // namespace tfnodejs

#endif  // REFT_NATIVE_CLUSTER_H_
