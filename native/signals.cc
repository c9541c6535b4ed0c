// Answers signals at once, whatever the process is doing: says that it will stop, and ends it with exit code 1 when told so again, or
// where nothing has to be saved. A handler in JavaScript runs between steps only, and what the system does by itself leaves an exit
// code of 128 and more.
#include <errno.h>
#include <node_api.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

namespace {

struct Line {
  char text[512];
  size_t length;

  void Write() const {
    const ssize_t written = write(STDERR_FILENO, text, length);
    (void)written;  // nothing can be done where the terminal is gone
  }
};

Line last;          // before the process ends
Line announcement;  // before it goes on up to where it can stop
volatile sig_atomic_t is_announced = 0;
timespec announced_at;
struct sigaction in_javascript[NSIG];

/** npx hands on to us what its terminal has sent to us already: that is not a second one. */
bool IsEcho() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  const double seconds = static_cast<double>(now.tv_sec - announced_at.tv_sec) +
                         1e-9 * static_cast<double>(now.tv_nsec - announced_at.tv_nsec);
  return is_announced && seconds < 0.5;
}

void End(int) {
  if (IsEcho()) return;
  last.Write();
  _exit(1);
}

/** Says so, and lets JavaScript hear of it when it runs again; the second time ends the process. */
void Announce(int signal) {
  if (is_announced) return End(signal);
  is_announced = 1;
  clock_gettime(CLOCK_MONOTONIC, &announced_at);
  const int error = errno;
  announcement.Write();
  in_javascript[signal].sa_handler(signal);
  errno = error;
}

bool IsText(napi_env env, napi_value value, Line* line) {
  return napi_get_value_string_utf8(env, value, line->text, sizeof line->text, &line->length) ==
         napi_ok;
}

void SetHandler(napi_env env, int signal, void (*handler)(int)) {
  struct sigaction action = {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  sigfillset(&action.sa_mask);
  if (sigaction(signal, &action, nullptr) != 0)
    napi_throw_error(env, nullptr, "the system refuses a handler for this signal");
}

/** endAtSignal(signal: number, line: string): void */
napi_value EndAtSignal(napi_env env, napi_callback_info info) {
  napi_value arguments[2];
  size_t count = 2;
  int32_t signal_number = 0;
  if (napi_get_cb_info(env, info, &count, arguments, nullptr, nullptr) != napi_ok || count != 2 ||
      napi_get_value_int32(env, arguments[0], &signal_number) != napi_ok ||
      !IsText(env, arguments[1], &last)) {
    napi_throw_type_error(env, nullptr, "endAtSignal: expected a signal's number and a line");
    return nullptr;
  }
  SetHandler(env, signal_number, End);
  return nullptr;
}

/** announceSignal(signal: number, announcement: string, last: string): void; JavaScript has to listen to the signal already. */
napi_value AnnounceSignal(napi_env env, napi_callback_info info) {
  napi_value arguments[3];
  size_t count = 3;
  int32_t signal_number = 0;
  if (napi_get_cb_info(env, info, &count, arguments, nullptr, nullptr) != napi_ok || count != 3 ||
      napi_get_value_int32(env, arguments[0], &signal_number) != napi_ok ||
      !IsText(env, arguments[1], &announcement) || !IsText(env, arguments[2], &last)) {
    napi_throw_type_error(env, nullptr, "announceSignal: expected a signal's number and two lines");
    return nullptr;
  }
  struct sigaction before = {};
  sigaction(signal_number, nullptr, &before);
  if (before.sa_handler == SIG_DFL || before.sa_handler == SIG_IGN) {
    napi_throw_error(env, nullptr, "announceSignal: expected a listener in JavaScript, found none");
    return nullptr;
  }
  is_announced = 0;
  if (before.sa_handler != Announce) in_javascript[signal_number] = before;
  SetHandler(env, signal_number, Announce);
  return nullptr;
}

void Export(napi_env env, napi_value exports, const char* name, napi_callback call) {
  napi_value function;
  if (napi_create_function(env, nullptr, 0, call, nullptr, &function) == napi_ok)
    napi_set_named_property(env, exports, name, function);
}

}  // namespace

NAPI_MODULE_INIT() {
  Export(env, exports, "endAtSignal", EndAtSignal);
  Export(env, exports, "announceSignal", AnnounceSignal);
  return exports;
}
