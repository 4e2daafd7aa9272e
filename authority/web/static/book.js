// A final order book, cleared again from its bytes: the rule of authority/market/clearing.py, in whole numbers (BigInt).

import {gettext} from "./words.js";

const HEAD_SIZE = 216, ORDER_SIZE = 20, FINAL = 5, REFUND_AFTER_EPOCHS = 8n, WH_PER_KWH = 1000n, BASIS_POINTS = 10_000n;
const least = (one, other) => one < other ? one : other;
const most = (one, other) => one > other ? one : other;
const sum = values => values.reduce((all, each) => all + each, 0n);

/** What bytes that are no book are refused with. */
export class NotABook extends Error {}

/** The book's head and orders (trading's EpochBook and Order), numbers as BigInt. */
export function parse(data) {
  if (data.length < HEAD_SIZE) throw new NotABook(gettext("it is cut short"));
  const at = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const u16 = offset => at.getUint16(offset, true), u32 = offset => BigInt(at.getUint32(offset, true));
  const u64 = offset => at.getBigUint64(offset, true), i64 = offset => at.getBigInt64(offset, true);
  const bidCount = u16(110), askCount = u16(112);
  if (data.length !== HEAD_SIZE + (bidCount + askCount) * ORDER_SIZE) throw new NotABook(gettext("its length is not that of its orders"));
  const orders = (first, count) => Array.from({length: count}, (_, place) => {
    const start = first + place * ORDER_SIZE;
    return {price: u32(start), number: u32(start + 4), quantity: u32(start + 8), filled: u32(start + 12)};
  });
  return {
    status: data[10], closesAt: i64(32), clearedAt: i64(40), energyLocked: u64(48), creditLocked: u64(56), fees: u64(64),
    epochSeconds: u32(76), wheeling: u32(88), feeBps: BigInt(u16(104)), paid: u16(114), bidQuantity: u32(116),
    askQuantity: u32(120), reference: u32(128), price: u32(132), lowest: u32(136), highest: u32(140), volume: u32(144),
    bids: orders(HEAD_SIZE, bidCount), asks: orders(HEAD_SIZE + bidCount * ORDER_SIZE, askCount),
  };
}

function equilibrium(bids, asks) {
  let volume = 0n, bid = 0, ask = 0, bidLeft = bids[0]?.quantity ?? 0n, askLeft = asks[0]?.quantity ?? 0n;
  let lastBid = 0n, lastAsk = 0n;
  while (bid < bids.length && ask < asks.length && bids[bid].price >= asks[ask].price) {
    const step = least(bidLeft, askLeft);
    volume += step;
    bidLeft -= step;
    askLeft -= step;
    [lastBid, lastAsk] = [bids[bid].price, asks[ask].price];
    if (bidLeft === 0n) bidLeft = bids[++bid]?.quantity ?? 0n;
    if (askLeft === 0n) askLeft = asks[++ask]?.quantity ?? 0n;
  }
  if (volume === 0n) return {volume, lowest: 0n, highest: 0n};
  return {
    volume, lowest: bid < bids.length ? most(lastAsk, bids[bid].price) : lastAsk,
    highest: ask < asks.length ? least(lastBid, asks[ask].price) : lastBid,
  };
}

/** total shared pro rata by largest remainders; equal remainders in book order. */
function allocate(quantities, total) {
  const whole = sum(quantities);
  if (total >= whole) return [...quantities];
  const shares = quantities.map(quantity => quantity * total / whole);
  const order = quantities.map((quantity, place) => [quantity * total % whole, place])
    .sort(([one, first], [other, second]) => one === other ? first - second : one > other ? -1 : 1);
  for (const [, place] of order.slice(0, Number(total - sum(shares)))) shares[place] += 1n;
  return shares;
}

function fills(orders, volume, price, isBetter) {
  const filled = orders.map(order => isBetter(order.price) ? order.quantity : 0n);
  const places = orders.flatMap((order, place) => order.price === price ? [place] : []);
  const shares = allocate(places.map(place => orders[place].quantity), volume - sum(filled));
  places.forEach((place, number) => { filled[place] = shares[number]; });
  return filled;
}

/** What the auction makes of bids (dearest first) and asks (cheapest first). */
export function clear(bids, asks, reference) {
  const {volume, lowest, highest} = equilibrium(bids, asks), none = orders => orders.map(() => 0n);
  if (volume === 0n) return {price: 0n, lowest, highest, volume, bidFills: none(bids), askFills: none(asks)};
  const price = least(most(reference, lowest), highest);
  return {
    price, lowest, highest, volume, bidFills: fills(bids, volume, price, limit => limit > price),
    askFills: fills(asks, volume, price, limit => limit < price),
  };
}

const buyerPays = (quantity, price, wheeling) => (quantity * (price + wheeling) + WH_PER_KWH - 1n) / WH_PER_KWH;
function sellerGets(quantity, price, feeBps) {
  const gross = quantity * price / WH_PER_KWH;
  return gross - gross * feeBps / BASIS_POINTS;
}

/** What the rule would have made otherwise, in words; none where the book is as it must be. */
export function faults(book) {
  const {bids, asks} = book, found = [];
  if (book.status !== FINAL) found.push(gettext("it is not final"));
  if (book.energyLocked || book.creditLocked || book.paid !== bids.length + asks.length) found.push(gettext("it is not paid out"));
  const inOrder = (orders, isBetter) => orders.every((order, place) => place === 0
    || isBetter(orders[place - 1].price, order.price)
    || orders[place - 1].price === order.price && orders[place - 1].number < order.number);
  if (!inOrder(bids, (one, other) => one > other)) found.push(gettext("its bids are out of order"));
  if (!inOrder(asks, (one, other) => one < other)) found.push(gettext("its asks are out of order"));
  if (new Set([...bids, ...asks].map(order => order.number)).size !== bids.length + asks.length) found.push(gettext("two orders have one number"));
  const refunded = book.clearedAt >= book.closesAt + REFUND_AFTER_EPOCHS * book.epochSeconds
    && !book.price && !book.volume && !book.reference;
  const outcome = refunded ? {...clear([], [], 0n), bidFills: bids.map(() => 0n), askFills: asks.map(() => 0n)}
    : clear(bids, asks, book.reference);
  const fees = sum(outcome.bidFills.map(fill => buyerPays(fill, outcome.price, book.wheeling)))
    - sum(outcome.askFills.map(fill => sellerGets(fill, outcome.price, book.feeBps)));
  for (const [name, said, right] of [
    [gettext("price"), book.price, outcome.price], [gettext("lowest price"), book.lowest, outcome.lowest],
    [gettext("highest price"), book.highest, outcome.highest], [gettext("volume"), book.volume, outcome.volume],
    [gettext("bid quantity"), book.bidQuantity, sum(bids.map(order => order.quantity))],
    [gettext("ask quantity"), book.askQuantity, sum(asks.map(order => order.quantity))], [gettext("fees"), book.fees, fees],
  ]) if (said !== right) found.push(gettext("it says %(name)s %(said)s, by the rule it is %(right)s", {name, said, right}));
  for (const [side, orders, right] of [[gettext("bid"), bids, outcome.bidFills], [gettext("ask"), asks, outcome.askFills]]) {
    orders.forEach((order, place) => {
      if (order.filled !== right[place]) found.push(gettext("%(side)s %(order)s got %(filled)s Wh, by the rule %(place)s", {side, order: order.number, filled: order.filled, place: right[place]}));
    });
  }
  return found;
}
