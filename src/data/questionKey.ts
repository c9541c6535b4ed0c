/**
 * Characters whose plain form would join what stands beside them and say something else: 3² is not 32, H₂ not h2, 1½ not 11⁄2, and 1① not
 * 11. They are numbers that are no digits, what is raised or lowered, and the hours, days and months of East Asian calendars.
 */
const joining =
  /((?:\p{No}|(?=\p{Lm})\p{Script=Latin}|[\u2070-\u209f\u32c0-\u32cb\u3358-\u3370\u33e0-\u33fe])+)/u;

/** The same for questions that differ in case, spaces and the spelling of characters alone: a model that has learned one knows the other. */
export function questionKey(question: string): string {
  const plain = question
    .split(joining) // a group is kept: every second part joins
    .map((part, i) => (i % 2 === 0 ? part.normalize("NFKC") : part))
    .join("");
  return plain.toLowerCase().replace(/\s+/g, " ").trim();
}
