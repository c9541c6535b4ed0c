// Ends the process at a signal with one line and exit code 1, whatever it is doing. A handler in JavaScript runs between
// steps only, and what the system does by itself leaves an exit code of 128 and more.
#include <node_api.h>
#include <signal.h>
#include <unistd.h>

namespace {

char line[512];
size_t length = 0;

void End(int) {
  const ssize_t written = write(STDERR_FILENO, line, length);
  (void)written;  // nothing can be done where the terminal is gone
  _exit(1);
}

/** endAtSignal(signal: number, line: string): void */
napi_value EndAtSignal(napi_env env, napi_callback_info info) {
  napi_value arguments[2];
  size_t count = 2;
  int32_t signal_number = 0;
  if (napi_get_cb_info(env, info, &count, arguments, nullptr, nullptr) != napi_ok || count != 2 ||
      napi_get_value_int32(env, arguments[0], &signal_number) != napi_ok ||
      napi_get_value_string_utf8(env, arguments[1], line, sizeof line, &length) != napi_ok) {
    napi_throw_type_error(env, nullptr, "endAtSignal: expected a signal's number and a line");
    return nullptr;
  }
  struct sigaction action = {};
  action.sa_handler = End;
  sigfillset(&action.sa_mask);
  if (sigaction(signal_number, &action, nullptr) != 0)
    napi_throw_error(env, nullptr, "endAtSignal: the system refuses a handler for this signal");
  return nullptr;
}

}  // namespace

NAPI_MODULE_INIT() {
  napi_value function;
  if (napi_create_function(env, nullptr, 0, EndAtSignal, nullptr, &function) == napi_ok)
    napi_set_named_property(env, exports, "endAtSignal", function);
  return exports;
}
