/** sRGB, 0 to 255 each. */
type Rgb = readonly [number, number, number]

const parse = (hex: string): Rgb => [1, 3, 5].map((at) => Number.parseInt(hex.slice(at, at + 2), 16)) as unknown as Rgb
const print = (colour: Rgb): string => `#${colour.map((channel) => Math.round(channel).toString(16).padStart(2, '0')).join('')}`

/** WCAG 2.2, relative luminance. */
const luminance = (colour: Rgb): number => {
  const [r, g, b] = colour.map((channel) => {
    const share = channel / 255
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4
  }) as unknown as Rgb
  return 0.2126 * r + 0.7152 * g + 0.0722 * b
}

/** WCAG 2.2 §1.4.3: 1 to 21; text needs 4.5. */
export const contrast = (one: string, other: string): number => {
  const [a, b] = [luminance(parse(one)), luminance(parse(other))]
  return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)
}

const READABLE = 4.5

/** White where it can be read on the colour, else black: where white falls short, black has more than 4.6. */
export const readableOn = (colour: string): string => (contrast('#ffffff', colour) >= READABLE ? '#ffffff' : '#000000')

/** The colour as text or line: moved towards black or white just as far as it takes on every one of the grounds. */
export const readableAs = (colour: string, grounds: readonly string[], towards: '#000000' | '#ffffff'): string => {
  const [from, to] = [parse(colour), parse(towards)]
  for (let step = 0; step < 40; step += 1) {
    const mixed = print(from.map((channel, i) => channel + ((to[i] ?? 0) - channel) * (step / 40)) as unknown as Rgb)
    if (grounds.every((ground) => contrast(mixed, ground) >= READABLE)) return mixed
  }
  return towards
}
