// A day in the words that Python's strftime has for it in English.
import { show, UserError } from "../../errors.ts";

/**
 * @param date as 2024-07-26
 * @param format with Python's directives
 * @throws UserError for a directive that asks for more than the day, or is not known
 */
export function strftime(date: string, format: string): string {
  const day = new Date(`${date}T00:00:00Z`);
  const word = (options: Intl.DateTimeFormatOptions) =>
    day.toLocaleDateString("en-US", { ...options, timeZone: "UTC" });
  const two = (value: number) => String(value).padStart(2, "0");
  return format.replace(/%(.?)/gs, (directive, letter) => {
    switch (letter) {
      case "d":
        return two(day.getUTCDate());
      case "m":
        return two(day.getUTCMonth() + 1);
      case "y":
        return two(day.getUTCFullYear() % 100);
      case "Y":
        return String(day.getUTCFullYear());
      case "b":
        return word({ month: "short" });
      case "B":
        return word({ month: "long" });
      case "a":
        return word({ weekday: "short" });
      case "A":
        return word({ weekday: "long" });
      case "%":
        return "%";
      default:
        throw new UserError(
          `strftime_now: expected %d %m %y %Y %b %B %a %A or %%, found ${show(directive)}`,
        );
    }
  });
}
