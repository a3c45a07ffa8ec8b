/** Values one label of one metric may have; every further one counts as `other`. */
export const MANY = 200
export const OTHER = 'other'

/**
 * Labels come from closed sets. Should one not, a scrape that grows with the traffic takes the monitoring down with it: so the sets are also closed
 * here, by number.
 */
export const createBoundedLabels = (names: readonly string[]): ((labels: Readonly<Record<string, string>>) => Record<string, string>) => {
  const seen = new Map(names.map((name) => [name, new Set<string>()]))
  return (labels) => {
    const bounded: Record<string, string> = {}
    for (const [name, values] of seen) {
      const value = String(labels[name] ?? '')
      const isKnown = values.has(value)
      if (!isKnown && values.size < MANY) values.add(value)
      bounded[name] = isKnown || values.has(value) ? value : OTHER
    }
    return bounded
  }
}
