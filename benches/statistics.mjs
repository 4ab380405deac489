export function quantile(samples, q) {
  const sorted = samples.toSorted((one, other) => one - other);
  const place = (sorted.length - 1) * q;
  const below = sorted[Math.floor(place)];
  return below + (sorted[Math.ceil(place)] - below) * (place % 1);
}

export function median(samples) {
  return quantile(samples, 0.5);
}
