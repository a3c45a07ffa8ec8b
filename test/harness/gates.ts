/** A named place where a test stops whoever comes by next, and lets it go on when it likes: a barrier instead of a sleep. */
export interface Gate {
  /** Resolves when somebody stands before it. */
  readonly reached: Promise<void>
  open(): void
}

export interface Gates {
  /** The next one to pass `point` stops there; one-shot, first set first met. */
  stop(point: string): Gate
  pass(point: string): Promise<void>
}

/** @param everywhere runs at every point as well: a scheduler of interleavings hooks in here */
export const createGates = (everywhere: (point: string) => Promise<void> = async () => {}): Gates => {
  const set = new Map<string, { readonly reach: () => void; readonly opened: Promise<void> }[]>()
  return {
    stop: (point) => {
      const reached = Promise.withResolvers<void>()
      const opened = Promise.withResolvers<void>()
      set.set(point, [...(set.get(point) ?? []), { reach: reached.resolve, opened: opened.promise }])
      return { reached: reached.promise, open: opened.resolve }
    },
    pass: async (point) => {
      await everywhere(point)
      const gate = set.get(point)?.shift()
      if (!gate) return
      gate.reach()
      await gate.opened
    },
  }
}
