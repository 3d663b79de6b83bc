// What people type into fields, where more than one page reads it.

// Sums of money as the API takes them: so many digits before the point and behind it, no sign.
function sums(before, behind) {
  const form = new RegExp(`^[0-9]{1,${before}}(\\.[0-9]{1,${behind}})?$`);
  return (text) => form.test(text.trim());
}

export const isSum = sums(9, 9); // of budgets
export const isPrice = sums(7, 3); // of a million tokens

// "a, b" or "a b", with Chinese commas too.
export const wordsOf = (text) => text.split(/[\s,，、]+/).filter((w) => w !== '');
