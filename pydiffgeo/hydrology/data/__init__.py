"""Readers of basins: folders of CAMELS-US and Caravan, and any file that follows the CF conventions."""
