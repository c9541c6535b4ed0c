// GPT-2's alphabet: a printable character for each byte, so that any text is a text of 256 characters.
import { Buffer, isUtf8 } from "node:buffer";

/** How GPT-2 cuts a text into words, in Oniguruma's syntax. */
export const gpt2Words =
  "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

/** A byte is itself where it has a shape, else the next character from U+0100 on. */
export const byteToChar: readonly string[] = (() => {
  const hasShape = (byte: number) =>
    (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) =>
    String.fromCodePoint(hasShape(byte) ? byte : next++),
  );
})();
const charToByte = new Map(byteToChar.map((char, byte) => [char, byte]));

const encoder = new TextEncoder();
/** What is no UTF-8 becomes U+FFFD; a byte order mark stays. */
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** The UTF-8 bytes of a text, each as its character. */
export function textToChars(text: string): string {
  let chars = "";
  for (const byte of encoder.encode(text)) chars += byteToChar[byte];
  return chars;
}

/** The text of tokens in this alphabet, put together before it is read; a token with another character is taken as it is. */
export function charsToText(tokens: readonly string[]): string {
  const bytes: number[] = [];
  for (const token of tokens) {
    const start = bytes.length;
    for (const char of token) {
      const byte = charToByte.get(char);
      if (byte !== undefined) bytes.push(byte);
      else {
        bytes.length = start;
        for (const own of encoder.encode(token)) bytes.push(own);
        break;
      }
    }
  }
  return decoder.decode(Uint8Array.from(bytes));
}

/** The token "<0x0A>" of a byte. */
export function byteToken(byte: number): string {
  return `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`;
}

/** The byte tokens of a text. */
export function byteTokens(text: string): string[] {
  return Array.from(encoder.encode(text), byteToken);
}

/** The byte of a byte token, read as leniently as Rust reads it: "<0x0a>" and "<0x+a>", too. */
export function tokenByte(token: string): number | undefined {
  if (!token.startsWith("<0x")) return undefined; // nearly every token
  const digits = /^<0x(?:\+([0-9A-Fa-f])|([0-9A-Fa-f]{2}))>$/.exec(token);
  return digits ? Number.parseInt(digits[1] ?? digits[2]!, 16) : undefined;
}

/** The text of a run of bytes; one U+FFFD per byte where they are no UTF-8. */
export function bytesToTexts(bytes: readonly number[]): string[] {
  const buffer = Buffer.from(bytes);
  return isUtf8(buffer) ? [buffer.toString()] : bytes.map(() => "\uFFFD");
}
