import { Page } from "./page.ts";
import "./style.css";

new Page().start();
