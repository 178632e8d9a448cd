// Symbols as the protocol allows them.

const SYMBOL = /^[A-Z0-9._/-]{1,24}$/;

/** What a symbol may consist of, as a sentence for the user. */
export const SYMBOL_RULE = "A symbol has 1 to 24 characters: letters, digits and . _ / -";

/** Normalizes user input to a symbol (`" aapl"` becomes `AAPL`); undefined if it is not one. */
export function parseSymbol(text: string): string | undefined {
  const symbol = text.trim().toUpperCase();
  return SYMBOL.test(symbol) ? symbol : undefined;
}
