/** Asks again and again, a few at a time, until told to stop. What it cannot do is told, never thrown. */
export const steadyLoad = (ask: () => Promise<unknown>, atOnce = 4) => {
  const failed: string[] = []
  let count = 0
  let isOver = false
  const worker = async (): Promise<void> => {
    while (!isOver) {
      try {
        await ask()
      } catch (error) {
        failed.push(error instanceof Error && 'code' in error ? String(error.code) : String(error))
      }
      count += 1
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
  }
  const workers = Array.from({ length: atOnce }, worker)
  return {
    failed,
    /** Resolves once so many more have been answered. */
    more: async (requests: number): Promise<void> => {
      for (const until = count + requests; count < until; ) await new Promise((resolve) => setTimeout(resolve, 5))
    },
    stop: async (): Promise<readonly string[]> => {
      isOver = true
      await Promise.all(workers)
      return failed
    },
  }
}
