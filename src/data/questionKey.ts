/** The same for questions that differ in case, spaces and the spelling of characters alone: a model that has learned one knows the other. */
export function questionKey(question: string): string {
  return question.normalize("NFKC").toLowerCase().replace(/\s+/g, " ").trim();
}
