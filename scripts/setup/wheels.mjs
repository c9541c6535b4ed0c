// Which files TensorFlow consists of on each machine: Python wheels, pinned by version and hash.
//
// Only the C and C++ libraries inside the wheels are used, so the CPython tag (cp311) says nothing
// about the user's Python. The NVIDIA versions are those that pip chooses for
// `tensorflow[and-cuda]==2.21.0`: CUDA 12.9, cuDNN 9.28, NCCL 2.32.
import { SetupError } from "./support.mjs";

export const TENSORFLOW_VERSION = "2.21.0";

/** What is taken out of TensorFlow's wheel: two libraries, and the C API's headers. */
const TENSORFLOW_FILES =
  "tensorflow/(libtensorflow_|include/(LICENSE$|tensorflow/c/|tensorflow/core/platform/ctstring|xla/tsl/|tsl/))";

/** Out of NVIDIA's: the libraries, and the compiler parts that XLA looks for in cuda_nvcc. */
const NVIDIA_FILES =
  "(nvidia/([^/]+/lib/[^/]+\\.so|cuda_nvcc/(bin|nvvm)/)|nvidia_[^/]+/.*License\\.txt$)";

function tensorflowWheel(project, platform, bytes, unpackedBytes, sha256) {
  const file = `${project.replaceAll("-", "_")}-${TENSORFLOW_VERSION}-cp311-cp311-${platform}.whl`;
  const files = TENSORFLOW_FILES;
  return {
    project,
    version: TENSORFLOW_VERSION,
    platform,
    file,
    files,
    bytes,
    unpackedBytes,
    sha256,
  };
}

function nvidiaWheel(library, version, tags, bytes, unpackedBytes, sha256) {
  const project = `nvidia-${library}-cu12`;
  const file = `${project.replaceAll("-", "_")}-${version}-py3-none-${tags}.whl`;
  const [platform] = tags.split(".");
  return { project, version, platform, file, files: NVIDIA_FILES, bytes, unpackedBytes, sha256 };
}

const MANYLINUX_2_12 = "manylinux2010_x86_64.manylinux_2_12_x86_64";
const MANYLINUX_2_17 = "manylinux2014_x86_64.manylinux_2_17_x86_64";
const MANYLINUX_2_25 = "manylinux_2_25_x86_64";
const MANYLINUX_2_27 = "manylinux_2_27_x86_64";

// biome-ignore format: one wheel a line reads as a table
const WHEELS = {
  "linux x64": {
    cpu: [
      tensorflowWheel("tensorflow-cpu", MANYLINUX_2_27, 274e6, 860e6, "2b847d217b02ee7731ed91431daf3250daa0196c3c94614d23be27232e6e5b6c"),
    ],
    gpu: [
      tensorflowWheel("tensorflow", MANYLINUX_2_27, 573e6, 1265e6, "9056fbc9ba04235810b71ae6cbd958a196e8804fb53bbcffbf3e23b56155f124"),
      nvidiaWheel("cublas", "12.9.3.13", MANYLINUX_2_27, 582e6, 856e6, "d7d51055f161b317c7105ddaae90e71eda059026074ffef93cf7cde2886bfe72"),
      nvidiaWheel("cuda-cupti", "12.9.79", MANYLINUX_2_25, 11e6, 44e6, "096bcf334f13e1984ba36685ad4c1d6347db214de03dbb6eebb237b41d9d934f"),
      nvidiaWheel("cuda-nvcc", "12.9.86", MANYLINUX_2_12, 41e6, 99e6, "5d6a0d32fdc7ea39917c20065614ae93add6f577d840233237ff08e9a38f58f0"),
      nvidiaWheel("cuda-nvrtc", "12.9.86", MANYLINUX_2_12, 90e6, 228e6, "210cf05005a447e29214e9ce50851e83fc5f4358df8b453155d5e1918094dcb4"),
      nvidiaWheel("cuda-runtime", "12.9.79", MANYLINUX_2_17, 4e6, 1e6, "25bba2dfb01d48a9b59ca474a1ac43c6ebf7011f1b0b8cc44f54eb6ac48a96c3"),
      nvidiaWheel("cudnn", "9.28.0.42", MANYLINUX_2_27, 717e6, 1163e6, "9ff58b7f36dacd0a93e89f8f2957b52466889217963701daa15e577317cfa375"),
      nvidiaWheel("cufft", "11.4.1.4", MANYLINUX_2_17, 201e6, 294e6, "c67884f2a7d276b4b80eb56a79322a95df592ae5e765cf1243693365ccab4e28"),
      nvidiaWheel("curand", "10.3.10.19", MANYLINUX_2_27, 69e6, 167e6, "49b274db4780d421bd2ccd362e1415c13887c53c214f0d4b761752b8f9f6aa1e"),
      nvidiaWheel("cusolver", "11.7.5.82", MANYLINUX_2_27, 339e6, 495e6, "15da72d1340d29b5b3cf3fd100e3cd53421dde36002eda6ed93811af63c40d88"),
      nvidiaWheel("cusparse", "12.5.10.65", MANYLINUX_2_17, 367e6, 487e6, "73060ce019ac064a057267c585bf1fd5a353734151f87472ff02b2c5c9984e78"),
      nvidiaWheel("nccl", "2.32.3", MANYLINUX_2_27, 352e6, 474e6, "bb94b2348e4861d5e8aa00b36c3d12d9bdf9c6369b82cbb723de0b582280a21c"),
      nvidiaWheel("nvjitlink", "12.9.86", MANYLINUX_2_12, 40e6, 96e6, "e3f1171dbdc83c5932a45f0f4c99180a70de9bd2718c1ab77d14104f6d7147f9"),
    ],
  },
  // The project's wheel for Arm is the CPU build under the plain name.
  "linux arm64": {
    cpu: [
      tensorflowWheel("tensorflow", "manylinux_2_27_aarch64", 282e6, 888e6, "4b24aca16d527a3cf1c37f720c04c484c3d20f4d0fdfa98632ac8b9f3be6eb5c"),
    ],
  },
};

/**
 * The wheels for a machine ("linux x64", as Node names platform and processor) and a flavour.
 * @param {string} machine
 * @param {"cpu" | "gpu"} flavour
 */
export function wheelsFor(machine, flavour) {
  const flavours = WHEELS[machine];
  if (flavours === undefined) {
    throw new SetupError(
      `This machine (${machine}) is not supported: reft runs on Linux on x86_64 and aarch64 ` +
        "processors; on macOS and Windows use a Linux container or WSL 2.",
    );
  }
  const wheels = flavours[flavour];
  if (wheels === undefined) {
    throw new SetupError(
      `There is no GPU build of TensorFlow for ${machine}: run the set-up without --gpu.`,
    );
  }
  return wheels;
}
