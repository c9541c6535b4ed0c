// The families of models that are LLaMAs but for a little: one row each, by the `model_type` of config.json. What a row says becomes plain
// fields of a ModelConfig, so what computes asks for these and never for a family's name.
// Reference: transformers 5.23, configuration_<model_type>.py and modeling_<model_type>.py.

export const modelTypes = ["llama"] as const;
export type ModelType = (typeof modelTypes)[number];

/** What becomes of a family's models; the same for each of them. */
export interface Family {
  /** What the names of transformers' classes begin with. */
  readonly className: string;
  /** Keys that other tools expect in its config.json, although they say nothing here. */
  readonly extraKeys: Readonly<Record<string, unknown>>;
}

export const families: Readonly<Record<ModelType, Family>> = {
  llama: {
    className: "Llama",
    extraKeys: { attention_bias: false, mlp_bias: false },
  },
};

/** What a LLaMA's configuration has of all that families differ in. */
export const plainLlama = { modelType: "llama" } as const;
