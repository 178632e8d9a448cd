// How many decimals a price is shown with.

/** The numbers of decimals in use; a price is shown with the first that is exact. */
export const DECIMALS = [2, 3, 4, 6, 9] as const;

/** Returns the fewest decimals, but not fewer than `atLeast`, that show the price exactly. */
export function decimalsOf(price: number, atLeast: number = DECIMALS[0]): number {
  const exact = DECIMALS.find(
    (decimals) => decimals >= atLeast && Number(price.toFixed(decimals)) === price,
  );
  return exact ?? DECIMALS[DECIMALS.length - 1]!;
}
