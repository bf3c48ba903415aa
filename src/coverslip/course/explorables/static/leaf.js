// A bean leaf with bacterial spot, rendered by coverslip.data.synthetic (render("leaf", "bean_bacterial_spot", 1, 0, size=192)),
// converted to grey, stretched to the full range and averaged down to 48 x 48 pixels of 0 to 255, row by row.
export const LEAF_SIDE = 48;
const LEAF_BYTES =
  "z9HT0tbX19fZ2Nnc3N/g4eHk5ebh4t3d2+He4Nvc3d/h3uTl5+rs6+zv8O7v7vDv0NHQ1NbT2dnV2dre3+Dh4OHk4uXi5OLh3t7e3dnd3+Di4+Xn" +
  "6+3s8PLw8+7y8vDx09TV1dXU2NrZ2drg3t3k5uTm4+Tm4uLg3NbO1Nff3uHl4+br7Ozr8PDt7u/x8PDv09PW1Nfa2tbc3ODa3+Hi4ebm5+Tj5ODd" +
  "zbirp7bY4ODi5ers6ent8e/v8PHz7vLw09PU1dbb2Nra297e4uTk4uXn5enl5tvGp4GbiUvI3eLj5evp7u3w8vLw8fDw8PHy1tXW2Nnd3Nrc3Nvg" +
  "4t/h5Obi5+bk3sake1S5dVOr1OPk5ujm6O/u7vLx8vLx8fTx1tLW2Nja29rf3eHi5OPh5ufn5uXaxaF6iMO5VmyAyN7m7Orr7e7t8vH19fLz8e/y" +
  "0tjX2Nra2d3d3eHh5ePm5enm5dzFn3ORma+XVVtyrdvo7Ons7+/y9PXy8/Pz8/Lx19fV29re29/i3uHh4uPm5OXk2MKeeVBRsMluYGN+hNbl6unr" +
  "7+7y8vLy9PT08PLy19jY2tzc3N3f4+Tj5OLl5+HYwpt6kau+vNNdZGZ7ecLh6vDu8O7y8vHz8PH18vHw1drd3t/d3eDb3ePh49/j5dvAm3Obna2q" +
  "yoVNdnOBhp3b6u/t7vHw9PP08PPx9PDy2t3Z2Nzc3d7g4uHi4+Lg1sGZdpCgoqiw0ZJ+joWJjJDM5+3x+PLy8fDy9fPy8/Dw2trc3d3f2t3e4uHn" +
  "4d/Yv5h1i5vMm7XA2GiopJaUmZa04u7w8vL08/D08/Dz8fHv2d3c3t7f3+Pf4ePh39nCmnSTm5POL4W4u33LmrOooaCl2+nz9fXz8PPx7vHz7u/v" +
  "2dzf4ODg4eHl4eXg3cWacJOZl5/SuLTBl5ugts+enqWXw+fy9ff08PHz7+/y8O/w2Nre4d7f3uXk4ePZxqB1moGlnqi6t4m+jJCQVNSlrcikqNzy" +
  "9Pb18fTy8vDt8e/w4Nzd4eHh4+Hj4+DOqnmKp8e5s7Or0aXjgnatnZihpbmhntfv8vXz8/Hx8Ozv8O/s2t3d4OHg4ePi4Na2goLJ0X93v6qj121s" +
  "b5CnhJZ9cSiVbLTq8PPx9PTy8O7t7fHu3N/e4t/g4ebh2cCScb6QXo9ZwLW0vNSkj5eBc4+OgDGWaZjk8vTx8PHx7/Ht8e3y2Nzh3uHh3+Xgy6Jy" +
  "i8WxyvLkvh+/19qnmXyPeHeKkoR5jYbd7vTu8vPx7/Lx8ens2Nfc3eHf3d/YtoV4gbTAzsPs17fQreuRgneGjo6VWoCAgnTP7fTz8ffv7u7t6+zp" +
  "29fe3d7j4drJoWpplaWerbnP7dXG3uJ+fYSJmpqAeot1b3jD6/P09fDu7/Du7+3u29zc3dze4NW9jGJshZ6dpLLCw9Phx8NwfoKalISHpYWhjni4" +
  "6vH08fDu7+vs7u3u2dje39ve3c+ud2pyibSWpKu7o6i11atzj6GCcpGvvKqEi32x5vDy8PHt7vHv7ezu19rc3N3e3cmfZyuNkKzKlZWbj4ycw5eO" +
  "imZ0h6jOerGpo4e55fLy8/Py8fDt7u/q0tjX2d3c1MGRXomXZ4K4ypWEiIODs5R4Y3aFnsG1ucHQSZG+6fHz8u/w8PDu7e/r2NfW2tzd1r2GW4Bw" +
  "Wpa8t7aXdnyAsWVdcX+qrJivu8m/t5bN6PH18PLz7/Dw7Oru19bY2t7c1bqFcEw5lKGSl4yUmJBwsVZgeKZwiZOgyrBYrqPR7fHz8PDw7u3v7+rs" +
  "1dnV1tvZ0raCaluAjaiZd2hoaoOPuleCjoNTdqCm0Kaer6zf7vHw7+/07/Du7ert1tTU1tjb0LmHX3d3Y3mghWZRVmV3uHV2ZnSNnke/nJelnLnj" +
  "7/Ds8fHs8fDt7vDv1NXV2trc17+QXWmIiGpoeoV2Ulprt11tbHyLqaR/rKmercHi7fDt8PDz7e/v7u7w19Pb2Nnc1sGVX2dvhoVhXmdgf3BkplBl" +
  "e4iewDuSeaGbJbbk7O308O7u7O/u6+vr1NbY2dja2cudaGRyZ3aObmZfc3Z3o1ZcfI+igqiPK4u2d8Ln7evu8Ozr6err6erp1dnW19jb28mjb3Vb" +
  "fGFji4t4col3tFdtiG17i8uIWKmrhMLk7Ozs7Obt6+vp6+np0tba2tvb29GudHIJDF9aX3iYr513vnF+bCN7rJ+DuaylqMvj7u3r6+rp6unq6ufp" +
  "1tfZ3drc3di1fmoYYINTaXWCl5mpgZBxeW+Pf4RKI5qdtcnl7Ors7Ozm6efm6ebl1dfa39zc3tq8jWF6c1RWgIKmgJGUoak9dXxuX4u4rZqeXsrl" +
  "6+vr6efm5ufm4uDg2dzd2tzc4NrGlmRxR7FagYiGiISTqbiGkVZOXm+BfYa8Pcfk6ezn6Obl5eLk4+Ti1dvc29rf3N/Opm9VZI5Dgm13hYaws8Jx" +
  "WWVcaoKWio6hu8vk6e3n5uLk5uTh4N3e19zd2+Df3t7Vtn9NQnOPbYiMjI2SrcJLdWyka4xjhJ9pW8rk6ufk5+Tk4d/i4tze1tnd3ODf3N/bv49b" +
  "PUFHWXuXpaSiirtidWW+g4R3hZmdjNDj6ufk4+Pj5d/d3+Dg2dvd3Nze3uHezKRwQUlLYY+PfXYoUayBYpGboaaBm4F7ctPm6Obl4+Ph4ODe3d/Z" +
  "2Nzb3N3f3ODg17eDU0tXYXx1ZWBAbXqEbI+Tb22rkHODkNfm5+bl3t7i4Nnf2tra1trb3dvd3N7e28mcaElVX2dxh42ZhJCYl4OIsxODpJF8rd/m" +
  "5+fn4tzf397c3dza19bX3N3b29/f4dO0glxhYmqQdFd3rLOfw7WhkFZwoHWUyuXo4+Pi5N7e2tne29bX19ja3Nrd4t7i3dvKn3NaZIJMiX67x7ym" +
  "ydjQvqibnrLG4Ojk4+Lf393d2N3Y2dbW2dnX2Nnc3t3d3d/Zv5lzhKQpkL/V0b+twd7k5djT1tzk6Ovm5uDh39zb2tnX1tbW1NvZ2tjd3Nrc3t3a" +
  "0Liaf4anxNjbz8C4sN3o7+7s7Oru6efm5ufh4tzZ2NnY1NTY";

/** Return the leaf as rows of numbers from 0 (black) to 255 (white). */
export function leafImage() {
  const bytes = atob(LEAF_BYTES);
  return Array.from({ length: LEAF_SIDE }, (_, row) =>
    Array.from({ length: LEAF_SIDE }, (_, column) => bytes.charCodeAt(row * LEAF_SIDE + column)),
  );
}
