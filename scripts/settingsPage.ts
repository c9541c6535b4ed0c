// docs/settings.md, made of the schemas that check the settings: every setting with what it may be and what it means.
import { markdownTable } from "../src/evaluate/tables.ts";
import { type SettingsKind, settingRows, settingsKinds } from "../src/tasks/settingRows.ts";

const commands: Readonly<Record<SettingsKind, string>> = {
  sft: "`train-sft`",
  reft: "`train-reft`",
  rerank: "`train-rerank`",
  recipe: "`reft run`",
};

export function settingsPage(): string {
  return [
    "# Settings",
    "",
    "Every setting of every configuration, made from what checks them (`npx tsx scripts/settings-page.ts`). A setting that is not optional has to be there: one file says all of a run. Paths start at the working directory. `npx reft settings reft` prints the same, beside the values of three configurations that are here.",
    ...settingsKinds.map(section),
  ].join("\n");
}

function section(kind: SettingsKind): string {
  const cells = settingRows(kind).map(({ path, value, when, meaning }) => [
    `\`${path}\``,
    when === "" ? value : `${value}; ${when}`,
    meaning.replaceAll("|", "\\|"),
  ]);
  return `\n## ${commands[kind]}\n\n${markdownTable([["setting", "value", "meaning"], ...cells])}\n`;
}
