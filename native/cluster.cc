// Joins this process with others through TensorFlow's own distributed runtime: a gRPC server in each, and its coordination service,
// which notices who is gone. Everything is exported by libtensorflow_cc.so.2.
#include "cluster.h"

#include <string>
#include <vector>

#include "napi.h"
#include "tensorflow/c/c_api_experimental.h"
#include "tensorflow/c/eager/c_api_experimental.h"
#include "tfjs_backend.h"

namespace tfnodejs {
namespace {

// The first device of the task that computes: its GPU, where it has one, else its CPU. The other tasks' devices are listed, too.
std::string DeviceOf(const std::string &task, TFE_Context *context) {
  Status status;
  TF_DeviceList *devices = TFE_ContextListDevices(context, status.raw);
  status.Check("listing devices");
  std::vector<std::string> own;
  for (int i = 0; i < TF_DeviceListCount(devices); i++) {
    const std::string name = TF_DeviceListName(devices, i, status.raw);
    if (name.rfind(task + "/", 0) == 0) own.push_back(name);
  }
  TF_DeleteDeviceList(devices);
  for (const char *kind : {"GPU:", "CPU:"})
    for (const std::string &name : own)
      if (name.find(kind) != std::string::npos) return name;
  throw std::runtime_error("no device of " + task + " after joining");
}

// clusterJoin(serverDef, task): a tensorflow.ServerDef as text of protobuf, and the name of this process in it. Comes before the
// first variable and the first function: the server brings devices of its own, and what lives on those from before is lost.
napi_value Join(napi_env env, napi_value *args, TFJSBackend *backend) {
  Status status;
  TF_Buffer *server = TFE_GetServerDef(StringOf(env, args[0]).c_str(), status.raw);
  status.Check("reading the ServerDef");
  TFE_EnableCollectiveOps(backend->context(), server->data, server->length, status.raw);
  TF_DeleteBuffer(server);
  status.Check("joining");
  backend->set_device_name(DeviceOf(StringOf(env, args[1]), backend->context()));
  return nullptr;
}

// clusterReport(message): ends the collective ops of all the others, with this message in their errors.
napi_value Report(napi_env env, napi_value *args, TFJSBackend *backend) {
  Status status;
  TFE_ReportErrorToCluster(backend->context(), TF_ABORTED, StringOf(env, args[0]).c_str(), status.raw);
  status.Check("reporting an error");
  return nullptr;
}

}  // namespace

void RegisterClusterFunctions(napi_env env, napi_value exports, TFJSBackend *backend) {
  const auto method = [backend](const char *name, napi_callback callback) {
    return napi_property_descriptor{name, nullptr, callback, nullptr, nullptr, nullptr, napi_default, backend};
  };
  const napi_property_descriptor methods[] = {method("clusterJoin", Guarded<TFJSBackend, Join, 2>),
                                              method("clusterReport", Guarded<TFJSBackend, Report, 1>)};
  napi_define_properties(env, exports, sizeof(methods) / sizeof(methods[0]), methods);
}

}  // namespace tfnodejs
