/** A message shows this much of a text that a client chose. */
const shownCharsMax = 64;

/**
 * A client's text for use in messages and logs: short, in quotes, on one line, with nothing a terminal would obey.
 * Everything outside printable ASCII is written as an escape.
 */
export function quoteText(text: string): string {
  const short = text.length > shownCharsMax ? `${text.slice(0, shownCharsMax)}...` : text;
  const plain = short.replace(/[^\x20-\x7e]|["\\]/g, (char) => {
    const code = char.charCodeAt(0);
    return code === 0x22 || code === 0x5c
      ? `\\${char}`
      : `\\u${code.toString(16).padStart(4, "0")}`;
  });
  return `"${plain}"`;
}
